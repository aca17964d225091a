/** What the dashboard and the alert rules ask Prometheus for is what a real daemon tells. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { mustHoldfast } from "../e2e/command.ts";
import { Daemon } from "../e2e/daemon.ts";
import { isInstalled } from "../e2e/oci.ts";
import { makePlace, type Place } from "../e2e/place.ts";
import { request } from "../e2e/request.ts";
import { run } from "../e2e/run.ts";

const FOLDER = path.resolve(import.meta.dirname, "../../scripts/grafana");
const ALERTS = path.join(FOLDER, "alerts.yaml");
/** What Prometheus itself knows of everybody it asks. */
const OF_PROMETHEUS = ["up"];
const LABELS_OF_PROMETHEUS = ["job", "instance"];
const STATES = /state="(?<state>[a-z]+)"/g;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const rules = (
  parse(readFileSync(ALERTS, "utf8")) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] }
).groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(readFileSync(path.join(FOLDER, "dashboard.json"), "utf8")) as {
  readonly panels: Panel[];
};

const asked: readonly (readonly [name: string, expression: string])[] = [
  ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr] as const),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [`panel ${title}`, expr] as const)),
];

let place: Place;
let daemon: Daemon;
let told: string;

beforeAll(async () => {
  place = await makePlace("fleet");
  daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk(*):100"] });
  const { socketPath } = daemon.socket;
  await mustHoldfast("reserve", "ads", "--size", "10", "--socket", socketPath);
  await mustHoldfast("create", "ads/db", "--size", "5", "--path", "data", "--socket", socketPath);
  told = (await request(daemon.http, { path: "/metrics" })).text;
});

afterAll(async () => {
  await daemon.stop();
  await place.remove();
});

/** Names of metrics in an expression: what stands before a brace, a bracket or nothing, and is neither function nor label. */
function metricsOf(expression: string): readonly string[] {
  return expression.match(/\b(?:holdfast|process|nodejs)_\w+|\bup\b/g) ?? [];
}

/** Labels that an expression selects or groups by. */
function labelsOf(expression: string): readonly string[] {
  const selected = [...expression.matchAll(/(?<label>\w+)\s*(?:=~|!=|=)\s*"/g)].map(
    ({ groups }) => groups?.["label"] ?? "",
  );
  const grouped = [...expression.matchAll(/\b(?:by|on)\s*\((?<labels>[^)]*)\)/g)];
  return [
    ...selected,
    ...grouped.flatMap(({ groups }) => (groups?.["labels"] ?? "").split(",").map((label) => label.trim())),
  ];
}

describe("every expression", () => {
  test("is of metrics that a daemon has", () => {
    const unknown = asked.filter(([, expression]) =>
      metricsOf(expression).some((name) => !OF_PROMETHEUS.includes(name) && !isTold(name)),
    );
    expect(unknown).toEqual([]);
    expect(asked.filter(([, expression]) => metricsOf(expression).length === 0)).toEqual([]);
  });

  test("is by labels that its metrics have", () => {
    const wrong = asked.flatMap(([name, expression]) =>
      labelsOf(expression)
        .filter((label) => !LABELS_OF_PROMETHEUS.includes(label))
        .filter(
          (label) =>
            !metricsOf(expression).some((metric) => linesOf(metric).some((line) => line.includes(`${label}="`))),
        )
        .map((label) => `${name}: ${label}`),
    );
    expect(wrong).toEqual([]);
  });

  test("names states that volumes have", () => {
    const states = [
      ...asked
        .map(([, expression]) => expression)
        .join("\n")
        .matchAll(STATES),
    ];
    const unknown = states.map(({ groups }) => groups?.["state"]).filter((state) => !told.includes(`state="${state}"`));
    expect(unknown).toEqual([]);
  });
});

/** What a volume takes is measured some time after it was made; numbers of volumes have the same labels. */
function linesOf(metric: string): readonly string[] {
  const name = metric.replace(/^holdfast_volume_\w+$/, "holdfast_volume_size_bytes");
  return told.split("\n").filter((line) => line.startsWith(`${name}{`));
}

function isTold(metric: string): boolean {
  return told.includes(`# TYPE ${metric.replace(/_bucket$/, "")} `);
}

test("every alert says what is the matter and what to do, and no two have one name", () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { labels, annotations } of rules) {
    expect(["critical", "warning", "info"]).toContain(labels.severity);
    expect(annotations.summary).not.toBe("");
    expect(annotations.description).not.toBe("");
  }
});

test("panels lie beside one another, each with an id of its own", () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  expect(new Set(taken).size).toBe(taken.length);
  expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
});

describe.runIf(isInstalled("promtool"))("Prometheus' own checker (needs promtool)", () => {
  test("takes the rules", async () => {
    expect(await run("promtool", "check", "rules", ALERTS)).toContain("SUCCESS");
  });

  test("fires each alert when it should, and none on a node that is well", async () => {
    const tests = path.join(import.meta.dirname, "alerts.test.yaml");
    expect(existsSync(tests)).toBe(true);
    expect(await run("promtool", "test", "rules", tests)).toContain("SUCCESS");
  });
});
