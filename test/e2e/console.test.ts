/** The console as people meet it: a real browser, the real daemon, the real command line. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startContainer } from "../support/container.ts";
import { openBrowser, type Visit, visit } from "./browser.ts";
import { mustHoldfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { requestJson } from "./request.ts";

/** Where the package cannot be installed, `scripts/test-setup` has said so; as root on Debian it is there, or this fails. */
const isLeftOut = process.getuid?.() !== 0 && !existsSync("/usr/bin/chromium");

/** Longer than the slowest look of a page at the daemon. */
const SEEN = { timeout: 8_000 };

interface Resource {
  readonly role: string;
  readonly id: string;
  readonly sizeMb?: number;
}

describe.skipIf(isLeftOut)("the console", () => {
  let browser: Browser;
  let place: Place;
  let daemon: Daemon;
  const visits: Visit[] = [];

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    place = await makePlace("console");
    daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk(*):100000"] });
  });
  afterEach(async () => {
    const errors = visits.flatMap((one) => one.errors);
    await Promise.all(visits.splice(0).map(({ page }) => page.context().close()));
    await daemon.stop();
    await place.remove();
    expect(errors).toEqual([]);
  });

  async function open(hash = ""): Promise<Page> {
    const opened = await visit(browser, `${daemon.url}/ui/${hash}`);
    visits.push(opened);
    return opened.page;
  }

  const cli = (...args: string[]) => mustHoldfast(...args, "--socket", daemon.socket.socketPath);

  /** One list for all: reserved and created together. */
  async function create(...volumes: readonly Resource[]): Promise<void> {
    const operations = volumes.flatMap(({ role, id, sizeMb = 10 }) => {
      const disk = {
        name: "disk",
        type: "SCALAR",
        scalar: { value: sizeMb },
        reservations: [{ type: "DYNAMIC", role }],
      };
      const volume = { ...disk, disk: { persistence: { id }, volume: { mode: "RW", container_path: "data" } } };
      return [
        { type: "RESERVE", reserve: { resources: [disk] } },
        { type: "CREATE", create: { volumes: [volume] } },
      ];
    });
    await requestJson(daemon.http, { method: "POST", path: "/v1/operations", body: { operations } });
  }

  /** Of a container that ends without a word, the page shows the end. */
  async function seeKilled(page: Page, sandbox: string): Promise<void> {
    const container = await startContainer("private");
    try {
      await cli("attach", "ads/db", "--container", "web-2", "--pid", String(container.pid), "--sandbox", sandbox);
      await statusIs(page, "Attached");
    } finally {
      await container.stop();
    }
    await statusIs(page, "Detached");
  }

  test("says what is wrong while somebody types, and makes nothing of it", async () => {
    const page = await open("#/create/app");
    await page.getByLabel("ID", { exact: true }).fill("/Sesame");
    await page.getByText(/^It must be a path of lower-case letters/).waitFor();
    await page.getByLabel("Instances").fill("-1");
    await page.getByText("It must be a whole number, 0 or more").waitFor();
    await page.getByLabel("Size (MiB)").fill("0");
    await page.getByText("It must be more than 0").waitFor();
    await page.getByLabel("Container Path").fill("var/lib");
    await page.getByText("It must be one name without slashes: paths cannot be nested").waitFor();
    await page.getByRole("button", { name: "Create" }).click();
    expect((await requestJson<{ apps: object[] }>(daemon.http, { path: "/v2/apps" })).apps).toEqual([]);
  });

  test("shows what the daemon refuses, in its words", async () => {
    await create({ role: "ads", id: "db" });
    const page = await open("#/create");
    await page.getByLabel("Role").fill("ads");
    await page.getByLabel("ID", { exact: true }).fill("db");
    await page.getByLabel("Size (MiB)").fill("10");
    await page.getByRole("button", { name: "Create" }).click();
    await page
      .getByRole("alert")
      .getByText(/ads\/db/)
      .waitFor();
    await page.getByRole("heading", { name: "Create" }).waitFor();
  });

  test("takes a newcomer from nothing to a volume, attached, detached, killed, destroyed and restored", async () => {
    const page = await open();
    await page.getByText("This node has no volumes yet.").waitFor();
    await page.getByRole("link", { name: "Create the first one" }).click();
    await page.getByLabel("Role").fill("ads");
    await page.getByLabel("ID", { exact: true }).fill("db");
    await page.getByLabel("Size (MiB)").fill("512");
    await page.getByText(/^It reserves 512 MiB for role ads/).waitFor();
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "ads/db", level: 1 }).waitFor();
    await statusIs(page, "Detached");

    const sandbox = path.join(place.dir, "sandbox");
    await mkdir(sandbox);
    await cli("attach", "ads/db", "--container", "web-1", "--sandbox", sandbox);
    await statusIs(page, "Attached");
    await page.getByRole("listitem").filter({ hasText: "web-1" }).waitFor();
    await cli("detach", "web-1");
    await statusIs(page, "Detached");
    if (mayMount) await seeKilled(page, sandbox);

    await page.getByRole("button", { name: "Destroy…" }).click();
    const dialog = page.getByRole("dialog");
    const destroy = dialog.getByRole("button", { name: "Destroy" });
    await dialog.getByRole("textbox").fill("ads/d");
    expect(await destroy.isDisabled()).toBe(true);
    await dialog.getByRole("textbox").fill("ads/db");
    await destroy.click();
    await page.getByText("Destroyed ads/db").waitFor();

    await page.getByRole("link", { name: /^Trash/ }).click();
    await page.getByText(/1 destroyed volume\b/).waitFor(SEEN);
    await page
      .getByRole("row", { name: /ads\/db/ })
      .getByRole("button", { name: "Pin" })
      .click();
    await page.getByText("never: it is pinned").waitFor(SEEN);
    await page
      .getByRole("row", { name: /ads\/db/ })
      .getByRole("button", { name: "Restore" })
      .click();
    await page.getByRole("heading", { name: "ads/db", level: 1 }).waitFor();
    await statusIs(page, "Detached");
    for (const what of ["Restored", "Destroyed", "Detached", "Attached", "Created"]) {
      await page.getByRole("cell", { name: what }).first().waitFor(SEEN);
    }
  });

  test("makes a volume larger and smaller, and says why when it cannot", async () => {
    await create({ role: "ads", id: "db" });
    const page = await open("#/volume/ads/db");
    const resize = async (size: string): Promise<void> => {
      await page.getByRole("button", { name: "Resize…" }).click();
      await page.getByRole("dialog").getByLabel("Size (MiB)").fill(size);
      await page.getByRole("dialog").getByRole("button", { name: "Resize" }).click();
    };
    const sizeIs = (size: string) =>
      page
        .getByRole("definition")
        .filter({ hasText: new RegExp(`^\\s*${size}\\s*$`) })
        .waitFor(SEEN);
    await resize("25.5");
    await page.getByText("Resized ads/db to 25.5 MiB").waitFor();
    await sizeIs("25.5");
    await resize("4");
    await sizeIs("4");
    // What it gave back is its role's, and taken first.
    await resize("30");
    await sizeIs("30");
    await resize("200000");
    await page
      .getByRole("alert")
      .filter({ hasText: /Cannot .*are free/ })
      .waitFor();
    await sizeIs("30");
    for (const what of ["Grown", "Shrunk"]) await page.getByRole("cell", { name: what }).first().waitFor(SEEN);
  });

  test("makes Marathon's app, and shows its instances and their volumes", async () => {
    const page = await open("#/create/app");
    await page.getByLabel("ID", { exact: true }).fill("/sesame/samson");
    await page.getByLabel("Instances").fill("2");
    await page.getByLabel("Size (MiB)").fill("100");
    await page.getByRole("button", { name: "Add another volume" }).click();
    await page.getByLabel("Size (MiB)").nth(1).fill("50");
    await page.getByLabel("Container Path").nth(1).fill("data");
    await page.getByText("It must be another name").waitFor();
    await page.getByLabel("Container Path").nth(1).fill("logs");
    await page.getByText(/^It makes 4 volumes, 300 MiB in all/).waitFor();
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "/sesame/samson", level: 1 }).waitFor();
    const instances = page.getByRole("row", { name: /sesame_samson\./ });
    await expect.poll(() => instances.count()).toBe(2);

    const sandbox = path.join(place.dir, "sandbox");
    await mkdir(sandbox);
    const body = { sandbox, app: "/sesame/samson" };
    await requestJson(daemon.socket, { method: "PUT", path: "/v1/containers/samson-1", body });
    await instances.filter({ hasText: "Attached" }).getByText("samson-1").waitFor(SEEN);
    await expect.poll(() => instances.filter({ hasText: "Detached" }).count()).toBe(1);
    await page.getByRole("link", { name: "in the list" }).click();
    await expect.poll(() => page.getByRole("row", { name: /sesame_samson#/ }).count()).toBe(4);
    await page.getByRole("button", { name: "Attached 2" }).click();
    await expect.poll(() => page.getByRole("row", { name: /sesame_samson#/ }).count()).toBe(2);
  });

  test("is used by the keyboard alone", async () => {
    const page = await open();
    await page.getByText("This node has no volumes yet.").waitFor();
    const press = async (...keys: string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press("Tab", "Enter");
    expect(await focused(page)).toBe("main");
    await press("Tab", "Enter");
    await page.getByRole("heading", { name: "Create" }).waitFor();
    // The way to the first field leads past the two links that say what to create.
    for (let tabs = 0; tabs < 10 && (await focusedLabel(page)) !== "Role"; tabs += 1) await press("Tab");
    for (const text of ["ads", "db", "10"]) {
      await page.keyboard.type(text);
      await press("Tab");
    }
    await press("Enter");
    await page.getByRole("heading", { name: "ads/db", level: 1 }).waitFor();
    expect(await focused(page)).toBe("h1");

    // The page may still be getting what is to the left of it.
    for (let tabs = 0; tabs < 10 && (await focusedText(page)) !== "Destroy…"; tabs += 1) await press("Tab");
    await press("Enter");
    await page.getByRole("dialog").waitFor();
    await press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    await expect.poll(() => focusedText(page)).toBe("Destroy…");
    await press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("ads/db");
    await press("Enter");
    await page.getByText("Destroyed ads/db").waitFor();

    await create({ role: "ads", id: "a" }, { role: "ads", id: "b", sizeMb: 20 });
    await page.goto(`${daemon.url}/ui/#/volumes`);
    await page.getByRole("row", { name: /ads\/b/ }).waitFor();
    await press("/");
    await page.keyboard.type("ads/b");
    await expect.poll(() => page.getByRole("row", { name: /ads\/a/ }).count()).toBe(0);
  });

  test("keeps a question open that is asked at the very moment another one is closed", async () => {
    await create({ role: "ads", id: "db" });
    const page = await open();
    await page.getByRole("link", { name: "ads/db" }).click();
    const destroy = page.getByRole("button", { name: "Destroy…" });
    for (const how of ["close", "cancel"]) {
      await destroy.click();
      await page.getByRole("dialog").waitFor();
      const closing = how === "close" ? 'document.querySelector("dialog").close()' : 'named("Cancel").click()';
      await page.evaluate(`{
        const buttons = [...document.querySelectorAll("button")];
        const named = (text) => buttons.find(({ textContent }) => textContent.trim() === text);
        ${closing};
        named("Destroy…").click();
      }`);
      // The close is told behind what was done in the same turn.
      await sleep(100);
      expect(await page.getByRole("dialog").count(), how).toBe(1);
      await page.keyboard.press("Escape");
      await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    }
  });

  test("tells a screen reader where it is, what is sorted, and what the table is of", async () => {
    await create({ role: "ads", id: "a" }, { role: "ads", id: "b", sizeMb: 20 });
    const page = await open();
    const table = page.getByRole("table", { name: "Volumes, 2 in all" });
    await table.waitFor();
    for (const name of ["ID", "Host", "Type", "Container Path", "Size (MiB)", "Mode", "Status"]) {
      await table.getByRole("columnheader", { name, exact: true }).waitFor();
    }
    for (const landmark of ["banner", "main", "search"] as const) await page.getByRole(landmark).first().waitFor();
    const size = table.getByRole("columnheader", { name: "Size (MiB)" });
    expect(await size.getAttribute("aria-sort")).toBe("none");
    await size.getByRole("button").click();
    await expect.poll(() => size.getAttribute("aria-sort")).toBe("ascending");
    await size.getByRole("button").click();
    await expect.poll(() => size.getAttribute("aria-sort")).toBe("descending");
    await expect.poll(() => table.getByRole("rowheader").allInnerTexts()).toEqual(["ads/b", "ads/a"]);
    expect(await page.getByRole("link", { name: /^Volumes/ }).getAttribute("aria-current")).toBe("page");
  });

  test("shows a volume that is named like a script, and runs nothing of it", async () => {
    const id = `<img src=x onerror="document.title='taken'">\${1}{{1}}`;
    const role = "<script>alert(1)<";
    await create({ role, id });
    const body = { description: "<b onmouseover=alert(1)>bold", labels: { "<i>": "\u202etxt" } };
    const address = `/v1/volumes/${encodeURIComponent(role)}/${encodeURIComponent(id)}`;
    await requestJson(daemon.http, { method: "PUT", path: `${address}/note`, body });
    const page = await open();
    await page.getByRole("link", { name: `${role}/${id}` }).click();
    await page.getByRole("heading", { name: `${role}/${id}`, level: 1 }).waitFor();
    await page.getByText("<b onmouseover=alert(1)>bold", { exact: true }).waitFor();
    expect(await page.locator("main img, main script, main b, main i").count()).toBe(0);
    expect(await page.title()).not.toBe("taken");
    await page.getByRole("button", { name: "Destroy…" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill(`${role}/${id}`);
    await page.getByRole("dialog").getByRole("button", { name: "Destroy" }).click();
    await page.getByText(`Destroyed ${role}/${id}`).waitFor();
    await page.goto(`${daemon.url}/ui/#/trash`);
    await page.getByRole("row").filter({ hasText: id }).getByRole("button", { name: "Restore" }).waitFor();
    expect(await page.locator("main img, main script").count()).toBe(0);
  });

  test("shows in one browser what was done in another", async () => {
    const [one, other] = [await open(), await open()];
    await other.getByText("This node has no volumes yet.").waitFor();
    await create({ role: "ads", id: "db" });
    for (const page of [one, other]) await page.getByRole("link", { name: "ads/db" }).waitFor(SEEN);
    await one.getByRole("link", { name: "ads/db" }).click();
    await one.getByRole("button", { name: "Protect" }).click();
    await other.getByText("protected").waitFor(SEEN);
    await one.getByRole("button", { name: "Take protection away" }).click();
    await expect.poll(() => other.getByText("protected").count(), SEEN).toBe(0);
  });

  test("stays while the daemon is killed and comes back, and shows what is new then", async () => {
    await create({ role: "ads", id: "before" });
    const page = await open();
    await page.getByRole("link", { name: "ads/before" }).waitFor();
    await page.getByRole("status").getByText("Live").waitFor(SEEN);
    await daemon.kill9();
    await page.getByText("Not reachable, trying again").waitFor(SEEN);
    await page.getByRole("link", { name: "ads/before" }).waitFor();
    await daemon.start();
    await create({ role: "ads", id: "after" });
    await page.getByRole("link", { name: "ads/after" }).waitFor(SEEN);
    await page.getByRole("status").getByText("Live").waitFor({ timeout: 15_000 });
  });

  test("pages, searches and sorts through thousands of volumes", { timeout: 120_000 }, async () => {
    const count = 5_000;
    for (let start = 0; start < count; start += 1_000) {
      await create(
        ...Array.from({ length: 1_000 }, (_, index) => ({ role: "many", id: `volume-${start + index}`, sizeMb: 1 })),
      );
    }
    const page = await open();
    await page.getByText("1–50 of 5,000").waitFor();
    await page.getByRole("button", { name: "Last" }).click();
    await page.getByText("4,951–5,000 of 5,000").waitFor();
    await page.goBack();
    await page.getByText("1–50 of 5,000").waitFor();
    await page.getByLabel("Search").fill("volume-4321");
    await expect.poll(() => page.getByRole("rowheader").allInnerTexts()).toEqual(["many/volume-4321"]);
    expect(await page.getByRole("row").count()).toBe(2);
  });
});

/** The status in the page's title. */
async function statusIs(page: Page, status: string): Promise<void> {
  await page.locator(".title .badge").getByText(status, { exact: true }).waitFor(SEEN);
}

async function focusedLabel(page: Page): Promise<string | undefined> {
  return (await page.evaluate("document.activeElement.labels?.[0]?.textContent.trim()")) as string | undefined;
}

async function focusedText(page: Page): Promise<string> {
  return ((await page.evaluate("document.activeElement.textContent")) as string).trim();
}

async function focused(page: Page): Promise<string> {
  return (await page.evaluate("document.activeElement.localName")) as string;
}
