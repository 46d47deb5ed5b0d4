import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { createWorld } from "../../dev/mock/world";
import { PALETTE } from "../../src/model/colour";
import { countPixels, linesOf, lowContrastTexts, open, setUpBrowser } from "./harness";

setUpBrowser();

const BUSY = "/ada/two-nodes/runs/pretrain/system";

/** Drags over part of a plot's width. */
async function zoom(page: Page, panel: string): Promise<void> {
  const plot = page.locator(`[data-panel="${panel}"] .u-over`);
  await plot.waitFor();
  const box = await plot.boundingBox();
  if (box === null) throw new Error("the plot has no box");
  await page.mouse.move(box.x + box.width * 0.25, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 5 });
  await page.mouse.up();
}

function zoomOf(page: Page): number[] {
  return (new URL(page.url()).searchParams.get("zoom") ?? "").split(",").map(Number);
}

describe("system metrics of a run", () => {
  it("draws a line per device and process, hosts apart, with units", async () => {
    const { page } = await open(BUSY);
    const panel = "GPU/gpu@node-1";
    await page.locator(`[data-panel="${panel}"] canvas`).first().waitFor();
    const lines = await linesOf(page, panel);
    expect(lines).toHaveLength(16);
    expect(lines).toContain("system.gpu.process.7.gpu/l:node-1");
    for (const colour of PALETTE.light) {
      await expect.poll(() => countPixels(page, panel, colour)).toBeGreaterThan(20);
    }
    await page.locator(`[data-panel="${panel}"] .u-over`).hover({ position: { x: 100, y: 60 } });
    await expect
      .poll(() => page.locator(`[data-panel="${panel}"]`).textContent())
      .toMatch(/GPU \d( · process)?\d+(\.\d+)?%/);
    await page.getByRole("button", { name: "node-2", exact: true }).click();
    await page.locator('[data-panel="GPU/gpu"] canvas').first().waitFor();
    expect((await linesOf(page, "GPU/gpu")).every((key) => key.endsWith("/l:node-2"))).toBe(true);
    expect(new URL(page.url()).searchParams.get("host")).toBe("node-2");
  });

  it("shares axis and zoom with the charts, both ways, and translates steps into time", async () => {
    const { page, server } = await open("/ada/two-nodes/runs/one-gpu/system");
    await zoom(page, "GPU/gpu");
    await expect.poll(() => new URL(page.url()).searchParams.get("x")).toBe("_runtime");
    const [low = 0, high = 0] = zoomOf(page);
    // 120 samples, 15 s apart
    expect(low / 1785).toBeCloseTo(0.25, 1);
    expect(high / 1785).toBeCloseTo(0.5, 1);
    await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name: "Charts" }).click();
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    expect(zoomOf(page)).toEqual([low, high]);
    const ofCharts = server.seriesRequests.findLast(({ series }) => series[0]?.stream === undefined);
    expect([ofCharts?.x, ofCharts?.range]).toEqual(["_runtime", [low, high]]);

    await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name: "System" }).click();
    await page.getByRole("button", { name: "Wall time" }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get("x")).toBe("_timestamp");
    const start = Date.parse(`${server.run("two-nodes", "one-gpu").createdAt}Z`) / 1000;
    // to the samples within what was shown
    expect(Math.abs((zoomOf(page)[0] ?? 0) - start - low)).toBeLessThanOrEqual(15);
    expect(Math.abs((zoomOf(page)[1] ?? 0) - start - high)).toBeLessThanOrEqual(15);

    await page.goto(page.url().replace(/\/system.*/, "?zoom=100,200"));
    await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name: "System" }).click();
    await page.locator('[data-panel="GPU/gpu"] canvas').first().waitFor();
    // a step takes 1.5 s
    await expect
      .poll(() => server.seriesRequests.findLast(({ series }) => series[0]?.stream === "events")?.range)
      .toEqual([150, 300]);
    await page.getByRole("button", { name: "Reset zoom" }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get("zoom")).toBeNull();
  });

  it("shows a new sample within two seconds, and loads no sample again for a new row", async () => {
    const { page, server } = await open("/ada/digits/runs/lr-high/system");
    await page.locator('[data-panel="CPU/cpu"] canvas').first().waitFor();
    const run = server.run("digits", "lr-high");
    server.advance(run, 1);
    await page.waitForTimeout(1300);
    const before = server.seriesRequests.length;
    server.advance(run, 1);
    await page.waitForTimeout(1300);
    expect(server.seriesRequests.length).toBe(before);
    const started = Date.now();
    server.sample(run);
    await expect.poll(() => server.seriesRequests.length).toBeGreaterThan(before);
    expect(Date.now() - started).toBeLessThan(2000);
  });

  it("fetches only panels near the screen", async () => {
    const { page, server } = await open(`${BUSY}?m=gpu`);
    await page.locator('[data-panel="GPU/gpu@node-1"] canvas').first().waitFor();
    const asked = () =>
      new Set(server.seriesRequests.flatMap(({ series }) => series.map(({ key }) => key.split(".").at(-1))));
    expect(asked()).not.toContain("correctedMemoryErrors/l:node-2");
    await page.locator('[data-panel="GPU/correctedMemoryErrors@node-2"]').scrollIntoViewIfNeeded();
    await expect.poll(asked).toContain("correctedMemoryErrors/l:node-2");
  });

  it("draws counters as rates, or as totals", async () => {
    const { page, server } = await open("/ada/digits/runs/lr-high/system?m=network");
    await page.locator('[data-panel="Network/network.sent"] canvas').first().waitFor();
    const rates = () => server.seriesRequests.at(-1)?.series.map(({ rate }) => rate === true);
    expect(rates()).toEqual([true, true, true]);
    await page.locator('[data-panel="Network/network.sent"] .u-over').hover({ position: { x: 100, y: 60 } });
    await expect
      .poll(() => page.locator('[data-panel="Network/network.sent"]').textContent())
      .toMatch(/[KM]iB\/s/);
    await page.getByRole("button", { name: "Totals" }).click();
    await expect.poll(rates).toEqual([false, false, false]);
    expect(new URL(page.url()).searchParams.get("counters")).toBe("total");
  });

  it("draws many cores as rows of cells and tells the one pointed at", async () => {
    const { page } = await open(`${BUSY}?m=cores`);
    const plot = page.locator('[data-panel="CPU/cores@node-1"] .u-over');
    await plot.hover({ position: { x: 60, y: 5 } });
    await expect
      .poll(() => page.locator('[data-panel="CPU/cores@node-1"]').textContent())
      .toMatch(/Core [01]\d*(\.\d+)?%$/);
  });

  it("is searched from the keyboard, and opens a panel in full screen with its keys", async () => {
    const { page } = await open("/ada/two-nodes/runs/pretrain/files");
    await page.getByText("train.py").first().waitFor();
    await page.keyboard.press("[");
    await page.waitForURL("**/logs");
    await page.getByRole("log").waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type("charts of");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/pretrain");
    await page.locator('[data-panel="loss"]').waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type("system metrics");
    await page.keyboard.press("Enter");
    await page.locator('[data-panel="GPU/gpu@node-1"]').waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("nothing like this");
    await page.getByText("No system metric matches").waitFor();
    await page.getByRole("searchbox").fill("gpu.*temp");
    await expect.poll(() => page.locator("[data-panel]").count()).toBe(2);
    await page.getByRole("button", { name: "Open Temperature, node-1 full screen" }).click();
    const dialog = page.getByRole("dialog", { name: "Temperature · node-1" });
    await dialog.locator("canvas").first().waitFor();
    await dialog.getByText("system.gpu.3.temp/l:node-1").waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
  });
});

describe("a run without samples", () => {
  it("waits for the first one, shows it when it comes, and later says why there may be none", async () => {
    const world = createWorld();
    const run = world.find((project) => project.name === "nothing-logged")?.runs[0];
    if (run === undefined) throw new Error("no quiet run");
    Object.assign(run, { createdAt: new Date().toISOString().slice(0, 19), system: ["system.cpu"] });
    const { page, server } = await open("/ada/nothing-logged/runs/quiet/system", { world });
    await page.getByText("The first sample is on its way").waitFor();
    server.sample(run, 3);
    await page.locator('[data-panel="CPU/cpu"] canvas').first().waitFor();

    const old = await open("/ada/nothing-logged/runs/quiet/system");
    await old.page.getByText("No system metrics", { exact: true }).waitFor();
    expect(await old.page.locator("pre").textContent()).toContain("x_stats_sampling_interval");
  });

  it("says what failed and draws after a retry", async () => {
    const { page, server } = await open("/ada/digits", { expectErrors: true });
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    server.fail("/graphql", 1000);
    await page.goto(`${new URL(page.url()).origin}/ada/digits/runs/lr-high/system`);
    await page.getByRole("alert").first().waitFor({ timeout: 15_000 });
    server.fail("/graphql", 0);
    await page.getByRole("button", { name: "Try again" }).first().click();
    await page.locator('[data-panel="CPU/cpu"] canvas').first().waitFor();
  });

  it("says that samples are still on the machine of a run that fell silent", async () => {
    const { page } = await open("/ada/two-nodes/runs/one-gpu/system?m=rpm");
    await page.getByText("Nothing heard of this run for").waitFor();
    // a key that nobody knows is shown all the same
    await page.getByRole("article", { name: "fan.front_rpm" }).locator("canvas").first().waitFor();
  });
});

describe("system metrics of several runs", () => {
  it("are fetched when the section is opened, a colour per run", async () => {
    const { page, server } = await open("/ada/two-nodes");
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    const sampled = () => server.seriesRequests.some(({ series }) => series[0]?.stream === "events");
    await page.getByRole("button", { name: /^System/ }).click();
    expect(sampled()).toBe(false);
    await page.locator('[data-panel="GPU/gpu"]').scrollIntoViewIfNeeded();
    await page.locator('[data-panel="GPU/gpu"] canvas').first().waitFor();
    expect(await linesOf(page, "GPU/gpu")).toHaveLength(17);
  });
});

describe("themes", () => {
  it.each(["light", "dark"] as const)("text keeps WCAG AA contrast in %s", async (colorScheme) => {
    const { page } = await open(BUSY, { browser: { colorScheme } });
    await page.locator('[data-panel="GPU/gpu@node-1"] canvas').first().waitFor();
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
  });
});
