import { describe, expect, it } from "vitest";
import { hostGuard } from "../../../src/faces/http/host.ts";

const guard = hostGuard(["node-1", "Node.Example.com."]);
const refused = expect.objectContaining({ code: "misdirected" });

describe("hostGuard", () => {
  it.each([
    undefined,
    "",
    "evil.example",
    "evil.example:5055",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "node-1@evil.example",
    "127.0.0.1/evil",
    "127.0.0.1:5055:1",
    "[::1",
    "::1",
    "[localhost]",
    "[127.0.0.1]",
    "0x7f.1",
    "node-1, evil.example",
  ])("refuses the host %s", (host) => {
    expect(() => guard({ host })).toThrow(refused);
  });

  it.each(["127.0.0.1", "10.0.0.7:5055", "[::1]:5055", "[fe80::1]", "localhost:5055", "LOCALHOST", "node-1:80"])(
    "takes the host %s",
    (host) => guard({ host }),
  );

  it("knows a name in any case and with its final dot", () => {
    guard({ host: "node.example.com" });
    guard({ host: "NODE.example.com.:443" });
  });

  it.each(["http://evil.example", "null", "", "http://localhost", "http://localhost:5055.evil.example"])(
    "refuses the origin %j",
    (origin) => {
      expect(() => guard({ host: "localhost:5055", origin })).toThrow(refused);
    },
  );

  it("takes its own origin", () => {
    guard({ host: "localhost:5055", origin: "http://localhost:5055" });
    guard({ host: "node-1", origin: "https://node-1" });
  });

  it("takes what a browser says is its own page or nobody's, and nothing else", () => {
    guard({ host: "localhost", "sec-fetch-site": "same-origin" });
    guard({ host: "localhost", "sec-fetch-site": "none" });
    expect(() => guard({ host: "localhost", "sec-fetch-site": "cross-site" })).toThrow(refused);
    expect(() => guard({ host: "localhost", "sec-fetch-site": "same-site" })).toThrow(refused);
  });

  it("takes a link from elsewhere to a page, and refuses one in a frame or to anything else", () => {
    const link = { host: "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    const toWindow = { ...link, "sec-fetch-dest": "document" };
    expect(() => guard(toWindow)).toThrow(refused);
    expect(() => guard({ ...link, "sec-fetch-dest": "iframe" }, { isPage: true })).toThrow(refused);
    expect(() => guard({ ...toWindow, host: "evil.example" }, { isPage: true })).toThrow(refused);
    expect(() => guard({ ...link, "sec-fetch-mode": "no-cors" }, { isPage: true })).toThrow(refused);
    guard(toWindow, { isPage: true });
  });
});
