/**
 * The console before 100,000 volumes: a real browser, the real console, door and engine. Only the disk is in memory, because
 * it would take minutes to make so many directories, and a browser sees none of them.
 */
import { existsSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleConsole } from "../../scripts/console.ts";
import type { Operation } from "../../src/domain/operation.ts";
import { addConsole, isConsolePage } from "../../src/faces/console/routes.ts";
import { disk, reservedFor, volume } from "../domain/world.ts";
import { type Rig, startRig } from "../engine/rig.ts";
import { openOperatorDoor } from "../faces/doors.ts";
import { openBrowser, type Visit, visit } from "./browser.ts";

const isLeftOut = process.getuid?.() !== 0 && !existsSync("/usr/bin/chromium");

const COUNT = 100_000;
const LIST_VOLUMES = 5_000;
const LARGE = 77_777;
const LARGE_MB = 9;
/** Far above what one takes, and far below what somebody would wait for. */
const ANSWER_MS_MAX = 1_000;

describe.skipIf(isLeftOut)("the console before 100,000 volumes", () => {
  let browser: Browser;
  let rig: Rig;
  let door: Awaited<ReturnType<typeof openOperatorDoor>>;
  let visitor: Visit;
  let page: Page;

  beforeAll(async () => {
    const { files } = await bundleConsole();
    rig = await startRig({ declared: [disk(COUNT + LARGE_MB)] });
    for (let start = 0; start < COUNT; start += LIST_VOLUMES) await rig.perform(...making(start));
    const { engine } = rig;
    door = await openOperatorDoor({
      engine,
      share: (app) => addConsole(app, { engine, hostname: "node-1", version: "1.2.3", files }),
      isPage: isConsolePage,
    });
    browser = await openBrowser();
    visitor = await visit(browser, `http://127.0.0.1:${door.where.port}/ui/`);
    page = visitor.page;
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await door?.close();
    await rig?.engine.stop();
  });

  const ids = () => page.getByRole("rowheader").allInnerTexts();

  test("shows the first page and how many there are", async () => {
    await page.getByText("1–50 of 100,000").waitFor();
    expect(await ids()).toHaveLength(50);
    expect((await ids())[0]).toBe("ads/v-0");
    expect(await page.getByRole("button", { name: "Detached 100,000" }).count()).toBe(1);
  });

  test("sorts all of them, not the page", async () => {
    const size = page.getByRole("columnheader", { name: "Size (MiB)" }).getByRole("button");
    await size.click();
    await size.click();
    await expect.poll(async () => (await ids())[0]).toBe(`${roleOf(LARGE)}/v-${LARGE}`);
    await page.getByText("1–50 of 100,000").waitFor();
  });

  test("goes to the last page and back", async () => {
    await page.getByRole("button", { name: "Last" }).click();
    await page.getByText("99,951–100,000 of 100,000").waitFor();
    await page.goBack();
    await page.getByText("1–50 of 100,000").waitFor();
  });

  test("filters by role and searches", async () => {
    await page.getByLabel("Role").fill("web");
    await page.getByLabel("Role").press("Enter");
    await page.getByText("1–50 of 50,000").waitFor();
    await page.getByLabel("Search").fill(`v-${LARGE}`);
    await expect.poll(ids).toEqual([`web/v-${LARGE}`]);
  });

  test("shows one of them whole", async () => {
    await page.getByRole("link", { name: `web/v-${LARGE}` }).click();
    await page.getByRole("heading", { name: `web/v-${LARGE}`, level: 1 }).waitFor();
    await page
      .getByRole("definition")
      .filter({ hasText: new RegExp(`^\\s*${LARGE_MB}\\s*$`) })
      .waitFor();
  });

  test("was never waited for long", async () => {
    const answers = (await page.evaluate(
      "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/v1/volumes')).map(({ duration }) => duration)",
    )) as number[];
    expect(answers.length).toBeGreaterThan(4);
    expect(answers.sort((left, right) => left - right)[answers.length >> 1]).toBeLessThan(ANSWER_MS_MAX);
    expect(visitor.errors).toEqual([]);
  });
});

/** Reserves and creates volumes with the numbers from `start`. */
function making(start: number): readonly Operation[] {
  const numbers = Array.from({ length: LIST_VOLUMES }, (_, index) => start + index);
  return ["ads", "web"].flatMap((role): Operation[] => {
    const reservations = [reservedFor(role)];
    const own = numbers.filter((number) => roleOf(number) === role);
    const volumes = own.map((number) => volume(`v-${number}`, sizeOf(number), reservations));
    const sizeMb = own.reduce((sum, number) => sum + sizeOf(number), 0);
    return [
      { type: "RESERVE", resources: [disk(sizeMb, reservations)] },
      { type: "CREATE", volumes },
    ];
  });
}

function roleOf(number: number): string {
  return number % 2 === 0 ? "ads" : "web";
}

function sizeOf(number: number): number {
  return number === LARGE ? LARGE_MB : 1;
}
