/**
 * The built app against a running server: `RUNLANE_URL=http://… RUNLANE_API_KEY=… npm run test:browser`. The server serves
 * the app itself and must hold at least one run that has logged a number.
 */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium } from "../../dev/chromium";

const url = process.env.RUNLANE_URL;
const apiKey = process.env.RUNLANE_API_KEY;

describe.skipIf(url === undefined || apiKey === undefined)("a real server", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  it("lets in whoever has the key, and every page of a run draws without an error", async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(8000);
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (response.status() >= 400 && pathname !== "/api/session")
        faults.push(`${response.status()} ${pathname}`);
    });
    await page.goto(url ?? "");
    await page.getByLabel("API key").fill(apiKey ?? "");
    await page.getByRole("button", { name: "Sign in" }).click();
    const run = page.getByRole("table").getByRole("link").first();
    await run.click();
    await page.locator("[data-panel] canvas").first().waitFor();
    for (const tab of ["Overview", "Logs", "Files", "Code"]) {
      await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name: tab }).click();
      await page.waitForURL(`**/${tab.toLowerCase()}`);
      await page.locator("main [class*=skeleton]").first().waitFor({ state: "detached" });
      if (tab === "Overview") await expectCommands(page);
    }
    await page.getByRole("navigation", { name: "Breadcrumb" }).getByRole("link").nth(1).click();
    await page.locator("[data-panel] canvas").first().waitFor();
    expect(await page.getByRole("alert").count()).toBe(0);
    expect(faults).toEqual([]);
  });
});

/** The page shows the commands that the server gives, word for word and in their order. */
async function expectCommands(page: Page): Promise<void> {
  const shown = await page.locator("section[aria-labelledby=reproduce-title] pre code").allInnerTexts();
  const path = new URL(page.url()).pathname.replace("/runs/", "/").replace("/overview", "");
  const answer = await page.request.get(new URL(`/api/runs${path}/reproduce`, page.url()).href);
  const recipe: { steps: { commands: string[] }[] } = await answer.json();
  expect(shown.map((text) => text.trimEnd())).toEqual(recipe.steps.flatMap((step) => step.commands));
  expect(shown.length).toBeGreaterThan(0);
}
