import { describe, expect, it } from "vitest";
import { lowContrastTexts, open, setUpBrowser } from "./harness";

setUpBrowser();

describe("alerts", () => {
  it("are counted on the tab and listed on the overview, newest first, with their severity", async () => {
    const { page } = await open("/ada/digits/runs/lr-low");
    await page.getByRole("link", { name: /^Overview 3/ }).click();
    const items = page.getByRole("region", { name: "Alerts" }).getByRole("listitem");
    await items.first().waitFor();
    expect(await items.count()).toBe(3);
    expect(await items.nth(0).textContent()).toContain("error: Run crashed");
    expect(await items.nth(1).textContent()).toContain("loss 12.5 at step 120\nlearning rate 0.1");
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
  });

  it("do not show up on a run without any", async () => {
    const { page } = await open("/ada/digits/runs/lr-high/overview");
    await page.getByText("Run id").waitFor();
    expect(await page.getByRole("region", { name: "Alerts" }).count()).toBe(0);
  });
});

describe("stopping a run", () => {
  it("asks first, then says that the run is stopping", async () => {
    const { page } = await open("/ada/digits/runs/lr-high");
    const button = page.getByRole("button", { name: "Stop run" });
    await button.click();
    await page.getByRole("button", { name: "Keep it running" }).click();
    expect(await page.getByRole("dialog").count()).toBe(0);
    await button.click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop run" }).click();
    await page.getByText("stopping…").waitFor();
  });

  it("is not offered for a run that has ended", async () => {
    const { page } = await open("/ada/digits/runs/lr-low");
    await page.getByRole("heading", { name: "lr 0.001" }).waitFor();
    expect(await page.getByRole("button", { name: "Stop run" }).count()).toBe(0);
  });
});

describe("a page in a notebook", () => {
  it("goes without the bar, also on the next page", async () => {
    const { page } = await open("/ada/digits/runs/lr-high?jupyter=true");
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    expect(await page.getByRole("button", { name: "Account" }).count()).toBe(0);
    await page.getByRole("link", { name: /^Overview/ }).click();
    await page.getByText("Run id").waitFor();
    expect(await page.getByRole("button", { name: "Account" }).count()).toBe(0);
  });
});
