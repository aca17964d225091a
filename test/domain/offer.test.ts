import { describe, expect, it } from "vitest";
import { hold, offerableTo, planOffers } from "../../src/domain/offer.ts";
import { applyToOffer, conversionOf } from "../../src/domain/offer-apply.ts";
import type { Operation } from "../../src/domain/operation.ts";
import type { DiskResource } from "../../src/domain/resource.ts";
import { invalidMessage } from "./refusals.ts";
import { disk, mb, reservedFor, staticFor, volume } from "./world.ts";

const PLAIN = { takesShared: false, takesRefined: false };
const ads = [reservedFor("ads", "fw")];
const MOUNT = { type: "MOUNT", root: "/m" } as const;

function standing(id: string, ...resources: readonly DiskResource[]) {
  return { id, resources };
}

describe("offerableTo", () => {
  const refined = [reservedFor("eng"), reservedFor("eng/web")];
  const all = [
    disk(100),
    disk(50, [staticFor("ads")]),
    disk(10, [reservedFor("eng")]),
    disk(5, refined),
    volume("v", 1, [reservedFor("ads")]),
    volume("s", 1, [reservedFor("ads")], { shared: true }),
  ];

  it("leaves out what belongs to other roles", () => {
    expect(offerableTo(all, { ...PLAIN, role: "web" })).toEqual([all[0]]);
    expect(offerableTo(all, { ...PLAIN, role: "en" })).toEqual([all[0]]);
  });

  it("has only unreserved disk for the role *", () => {
    expect(offerableTo(all, { ...PLAIN, role: "*" })).toEqual([all[0]]);
  });

  it("has the role's own and the unreserved disk", () => {
    expect(offerableTo(all, { ...PLAIN, role: "ads" })).toEqual([all[0], all[1], all[4]]);
  });

  it("has what is reserved to a role above", () => {
    expect(offerableTo(all, { ...PLAIN, role: "eng/web" })).toEqual([all[0], all[2]]);
    expect(offerableTo(all, { ...PLAIN, role: "eng/web/a", takesRefined: true })).toEqual([all[0], all[2], all[3]]);
  });

  it("has what is reserved below a role only for those below", () => {
    expect(offerableTo(all, { ...PLAIN, role: "eng", takesRefined: true })).toEqual([all[0], all[2]]);
  });

  it("has shared volumes for who takes them", () => {
    expect(offerableTo(all, { ...PLAIN, role: "ads", takesShared: true })).toContain(all[5]);
  });
});

describe("planOffers", () => {
  it("offers nothing where there is nothing", () => {
    expect(planOffers([], [], [])).toEqual({ rescinded: [], offered: [] });
  });

  it("offers all that no offer has", () => {
    expect(planOffers([disk(100)], [], [])).toEqual({ rescinded: [], offered: [disk(100)] });
    expect(planOffers([disk(100)], [standing("a", disk(60))], [])).toEqual({ rescinded: [], offered: [disk(40)] });
  });

  it("rescinds an offer of which something is gone, and offers what is left of it", () => {
    const plan = planOffers([disk(90), volume("v", 5, ads)], [standing("a", disk(100), volume("v", 5, ads))], []);
    expect(plan).toEqual({ rescinded: ["a"], offered: [disk(90), volume("v", 5, ads)] });
  });

  it("keeps the older of two offers when there is only enough for one", () => {
    const plan = planOffers([disk(70)], [standing("a", disk(60)), standing("b", disk(40))], []);
    expect(plan).toEqual({ rescinded: ["b"], offered: [disk(10)] });
  });

  it("rescinds an offer of a volume that has another size now", () => {
    expect(planOffers([volume("v", 6, ads)], [standing("a", volume("v", 5, ads))], []).rescinded).toEqual(["a"]);
  });

  it("rescinds an offer of a MOUNT disk that is not whole any more", () => {
    const plan = planOffers([disk(90, [], MOUNT)], [standing("a", disk(100, [], MOUNT))], []);
    expect(plan).toEqual({ rescinded: ["a"], offered: [disk(90, [], MOUNT)] });
  });

  it("does not offer what is refused, nor a part of it", () => {
    const refused = [hold([disk(100), disk(10, ads)])];
    expect(planOffers([disk(100)], [], refused).offered).toEqual([]);
    expect(planOffers([disk(40), disk(10, ads)], [], refused).offered).toEqual([]);
  });

  it("offers all again when there is more than was refused", () => {
    const refused = [hold([disk(100)])];
    expect(planOffers([disk(101)], [], refused).offered).toEqual([disk(101)]);
    expect(planOffers([disk(50), disk(1, ads)], [], refused).offered).toEqual([disk(50), disk(1, ads)]);
  });
});

describe("applyToOffer", () => {
  const reserve = (size: number): Operation => ({ type: "RESERVE", resources: [disk(size, ads)] });
  const create = (id: string, size: number): Operation => ({ type: "CREATE", volumes: [volume(id, size, ads)] });

  function refusal(offered: readonly DiskResource[], ...operations: readonly Operation[]): string {
    return invalidMessage(() => applyToOffer(offered, "ads", operations));
  }

  it.each<[string, readonly DiskResource[], Operation]>([
    ["more than it has", [disk(100)], reserve(101)],
    ["what is on another disk", [disk(100, [], MOUNT)], reserve(100)],
    ["a part of a MOUNT disk", [disk(100, [], MOUNT)], { type: "RESERVE", resources: [disk(50, ads, MOUNT)] }],
    ["a volume before its reservation", [disk(100)], create("v", 10)],
    ["a volume that it does not have", [disk(100, ads)], { type: "DESTROY", volumes: [volume("v", 10, ads)] }],
    ["a volume of another size", [volume("v", 9, ads)], { type: "DESTROY", volumes: [volume("v", 10, ads)] }],
    ["another's reservation", [disk(100, [reservedFor("ads", "x")])], { type: "UNRESERVE", resources: [disk(1, ads)] }],
  ])("refuses %s", (_what, offered, operation) => {
    expect(refusal(offered, operation)).toMatch(/^Cannot [A-Z_]+ on this offer: it does not have /);
  });

  it("refuses to reserve for another role than the offer's", () => {
    const operation: Operation = { type: "RESERVE", resources: [disk(1, [reservedFor("web")])] };
    expect(refusal([disk(100)], operation)).toBe(
      "Cannot RESERVE on this offer: it reserves for role web, and the offer is to role ads",
    );
  });

  it("says which operation of the list is refused", () => {
    const act = () => applyToOffer([disk(100)], "ads", [reserve(50), create("v", 51)]);
    expect(act).toThrow(expect.objectContaining({ details: { index: 1 } }));
  });

  it("takes what operations before made", () => {
    const destroy: Operation = { type: "DESTROY", volumes: [volume("v", 30, ads)] };
    const unreserve: Operation = { type: "UNRESERVE", resources: [disk(50, ads)] };
    const list = [reserve(50), create("v", 30), destroy, unreserve, reserve(100)];
    expect(applyToOffer([disk(100)], "ads", list)).toEqual([]);
  });

  it("takes the rest of a reservation from the offer", () => {
    expect(applyToOffer([disk(100), disk(20, ads)], "ads", [reserve(50), create("v", 60)])).toEqual([
      disk(50),
      disk(10, ads),
    ]);
  });

  it("leaves what no operation took, and nothing that was made", () => {
    expect(applyToOffer([disk(100), disk(7, ads)], "ads", [reserve(60)])).toEqual([disk(40), disk(7, ads)]);
  });

  it("takes a source as it is", () => {
    const list: Operation[] = [
      { type: "RESERVE", resources: [disk(5, ads)], source: [disk(5, [reservedFor("ads", "x")])] },
    ];
    expect(applyToOffer([disk(5, [reservedFor("ads", "x")])], "ads", list)).toEqual([]);
  });
});

describe("conversionOf", () => {
  it("grows and shrinks volumes", () => {
    const v = volume("v", 10, ads);
    expect(conversionOf({ type: "GROW_VOLUME", volume: v, addition: disk(5, ads) })).toEqual({
      consumed: [v, disk(5, ads)],
      converted: [volume("v", 15, ads)],
    });
    expect(conversionOf({ type: "SHRINK_VOLUME", volume: v, subtract: mb(4) })).toEqual({
      consumed: [v],
      converted: [volume("v", 6, ads), disk(4, ads)],
    });
  });
});
