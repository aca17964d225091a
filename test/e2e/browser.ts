/**
 * A real browser for tests: Debian's Chromium without a window. What a page logs as an error, throws, or is not allowed to
 * do by its policy is collected, because none of it is ever right.
 */
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

export interface Visit {
  readonly page: Page;
  /** What went wrong in the page; requests that the daemon did not answer are none. */
  readonly errors: readonly string[];
}

export function openBrowser(): Promise<Browser> {
  // Tests run as root, for whom Chromium has no sandbox.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A visitor of its own: nothing is shared with others. */
export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("dialog", (dialog) => {
    errors.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    const isUnanswered = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isUnanswered) errors.push(message.text());
  });
  await page.goto(url);
  return { page, errors };
}
