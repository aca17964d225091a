/** Logging in to the console through the browser's own dialog, as the daemon's challenge opens it. */
import { existsSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBrowser, visit } from "./browser.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";

const isLeftOut = process.getuid?.() !== 0 && !existsSync("/usr/bin/chromium");

const SEEN = { timeout: 8_000 };

describe.skipIf(isLeftOut)("the browser's login", () => {
  let browser: Browser;
  let place: Place;
  let daemon: Daemon;

  beforeAll(async () => {
    browser = await openBrowser();
    place = await makePlace("console-login");
    const file = await putCredentials("right:1");
    daemon = await Daemon.start({
      dir: place.dir,
      args: ["--resources", "disk(*):1000", "--credentials", file],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await daemon?.kill9();
    await place?.remove();
  });

  async function putCredentials(secret: string): Promise<string> {
    const file = path.join(place.dir, "credentials.json");
    await writeFile(`${file}.new`, JSON.stringify({ credentials: [{ principal: "ops", secret }] }), { mode: 0o600 });
    await rename(`${file}.new`, file);
    return file;
  }

  const open = (username: string, password: string) =>
    visit(browser, `${daemon.url}/ui/`, { httpCredentials: { username, password } });

  test.each([
    ["ops", "wrong"],
    ["stranger", "right:1"],
  ])("does not let %s with %s in", async (username, password) => {
    const context = await browser.newContext({ httpCredentials: { username, password } });
    const page = await context.newPage();
    const answer = await page.goto(`${daemon.url}/ui/`).catch(() => undefined);
    expect(answer?.status() ?? 401).toBe(401);
    expect(await page.title()).not.toContain("Holdfast");
    await context.close();
  });

  test("lets the right one in, who is shown, acts under that name, and is told events", async () => {
    const { page, errors } = await open("ops", "right:1");
    await page.getByText("This node has no volumes yet.").waitFor();
    await page.getByText("as ops", { exact: true }).waitFor();
    await page.getByRole("status").getByText("Live").waitFor(SEEN);
    await page.getByRole("link", { name: "Create the first one" }).click();
    await page.getByLabel("Role").fill("ads");
    await page.getByLabel("ID", { exact: true }).fill("db");
    await page.getByLabel("Size (MiB)").fill("10");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "ads/db", level: 1 }).waitFor();
    await page
      .getByRole("definition")
      .filter({ hasText: /by ops$/ })
      .waitFor(SEEN);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test("holds for as long as the secret does, and the page says so", async () => {
    const { page } = await open("ops", "right:1");
    await page.getByRole("link", { name: "ads/db" }).waitFor();
    await page.getByRole("status").getByText("Live").waitFor(SEEN);
    await putCredentials("another");
    await page.getByText("Cannot answer: credentials are missing or wrong").waitFor(SEEN);
    expect(await page.getByRole("link", { name: "ads/db" }).count()).toBe(0);
    await page.context().close();
  });
});
