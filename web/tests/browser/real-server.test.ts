/**
 * The built app against a running server: `RUNLANE_URL=http://… RUNLANE_API_KEY=… npm run test:browser`. The server serves
 * the app itself and must hold at least one run that has logged numbers, the images `val/sample` and `val/pair` twice, the table
 * `val/table` and a model.
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
    await expectMedia(page);
    await expectModel(page);
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

/** The run's pictures and tables are shown as they were logged, of the step that the slider says. */
async function expectMedia(page: Page): Promise<void> {
  const sample = page.locator('[data-panel="val/sample"]');
  await sample.scrollIntoViewIfNeeded();
  const picture = (caption: string) => sample.getByRole("img", { name: caption });
  const widthOf = (caption: string) =>
    picture(caption).evaluate((element: HTMLImageElement) => element.naturalWidth);
  await expect.poll(() => widthOf("shade 200"), { timeout: 8000 }).toBe(16);
  await sample.getByRole("button", { name: "Step before" }).click();
  await expect.poll(() => widthOf("shade 0"), { timeout: 8000 }).toBe(16);
  await page.locator('[data-panel="val/pair"]').getByText("shade 0").nth(1).waitFor();
  const table = page.getByRole("grid", { name: "val/table" });
  await table.scrollIntoViewIfNeeded();
  await table.getByText("<b>second</b>").waitFor();
  expect(await table.getByRole("gridcell").allTextContents()).toEqual([
    "first",
    "0.25",
    "<b>second</b>",
    "null",
  ]);
}

/** From the run to its model, to the file in it, and back to the run. */
async function expectModel(page: Page): Promise<void> {
  await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name: "Artifacts" }).click();
  const outputs = page.getByRole("table", { name: "Outputs" });
  await outputs.getByRole("link", { name: /^model-\d:v0$/ }).click();
  await page.getByText("three bytes").waitFor();
  await page.getByText("reference to").waitFor();
  const link = page.getByRole("link", { name: "Download weights/model.bin" });
  const answer = await page.request.get((await link.getAttribute("href")) ?? "");
  expect(await answer.text()).toBe("abc");
  await page
    .locator("dd")
    .getByRole("link", { name: /^curve-\d$/ })
    .click();
  await page.locator("[data-panel] canvas").first().waitFor();
}

/** The page shows the commands that the server gives, word for word and in their order. */
async function expectCommands(page: Page): Promise<void> {
  const shown = await page.locator("section[aria-labelledby=reproduce-title] pre code").allInnerTexts();
  const path = new URL(page.url()).pathname.replace("/runs/", "/").replace("/overview", "");
  const answer = await page.request.get(new URL(`/api/runs${path}/reproduce`, page.url()).href);
  const recipe: { steps: { commands: string[] }[] } = await answer.json();
  expect(shown.map((text) => text.trimEnd())).toEqual(recipe.steps.flatMap((step) => step.commands));
  expect(shown.length).toBeGreaterThan(0);
}
