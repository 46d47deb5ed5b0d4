import { describe, expect, it } from "vitest";
import { runColour } from "../../src/model/colour";
import { countPixels, linesOf, open, setUpBrowser } from "./harness";

setUpBrowser();

const RUNS = ["lr-high", "lr-mid-3", "lr-low"];

describe("workspace", () => {
  it("draws one line per run in the run's colour, and takes it away with the eye", async () => {
    const { page } = await open("/ada/digits");
    await page.locator('[data-panel="train/loss"] canvas').first().waitFor();
    expect((await linesOf(page, "train/loss")).sort()).toEqual([...RUNS].sort());
    for (const run of RUNS) {
      await expect.poll(() => countPixels(page, "train/loss", runColour(run, "light"))).toBeGreaterThan(50);
    }
    await page.getByRole("button", { name: "Hide lr 0.01", exact: true }).click();
    await expect.poll(() => linesOf(page, "train/loss")).not.toContain("lr-mid-3");
    await expect.poll(() => countPixels(page, "train/loss", runColour("lr-mid-3", "light"))).toBe(0);
    expect(new URL(page.url()).searchParams.get("sel")).toBe("lr-high,lr-low");
    await page.getByRole("button", { name: "Show lr 0.01", exact: true }).click();
    await expect.poll(() => linesOf(page, "train/loss")).toContain("lr-mid-3");
  });

  it("asks the server for the zoomed range, shares it in the URL and resets on double-click", async () => {
    const { page, server } = await open("/ada/digits");
    const plot = page.locator('[data-panel="loss"] .u-over');
    await plot.waitFor();
    const box = await plot.boundingBox();
    if (box === null) throw new Error("the plot has no box");
    const before = server.seriesRequests.length;
    await page.mouse.move(box.x + box.width * 0.25, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 5 });
    await page.mouse.up();
    await expect.poll(() => new URL(page.url()).searchParams.get("zoom")).not.toBeNull();
    await expect.poll(() => server.seriesRequests.length).toBeGreaterThan(before);
    const [low, high] = server.seriesRequests.at(-1)?.range ?? [0, 0];
    expect(low).toBeGreaterThan(130);
    expect(low).toBeLessThan(170);
    expect(high).toBeGreaterThan(280);
    expect(high).toBeLessThan(320);
    await page.reload();
    await expect
      .poll(() => server.seriesRequests.at(-1)?.range)
      .toEqual([low, high].map((bound) => expect.closeTo(bound, 6)));
    await page.locator('[data-panel="loss"] .u-over').dblclick();
    await expect.poll(() => new URL(page.url()).searchParams.get("zoom")).toBeNull();
    await page.goBack();
    await expect.poll(() => new URL(page.url()).searchParams.get("zoom")).not.toBeNull();
  });

  it("shows new points and states within two seconds of the event", async () => {
    const { page, server } = await open("/ada/digits?sel=lr-high");
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    const run = server.run("digits", "lr-high");
    const painted = () => countPixels(page, "loss", runColour("lr-high", "light"));
    await expect.poll(painted).toBeGreaterThan(50);
    const before = server.seriesRequests.length;
    const started = Date.now();
    run.state = "finished";
    server.advance(run, 4000);
    await expect.poll(() => server.seriesRequests.length).toBeGreaterThan(before);
    await page
      .getByLabel("Runs", { exact: true })
      .getByText("finished")
      .nth(1)
      .waitFor({ state: "attached" });
    expect(Date.now() - started).toBeLessThan(2000);
    const plot = page.locator('[data-panel="loss"] .u-over');
    await plot.hover({ position: { x: 200, y: 60 } });
    await expect.poll(() => page.locator('[data-panel="loss"]').textContent()).toMatch(/Step 3,\d{3}/);
  });

  it("says when live updates are interrupted, and catches up when they are back", async () => {
    const { page, server } = await open("/ada/digits", { expectErrors: true });
    const run = server.run("digits", "lr-high");
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    server.dropLive();
    const note = page.getByText("Live updates interrupted, reconnecting…");
    await note.waitFor();
    run.state = "crashed";
    const before = server.seriesRequests.length;
    await note.waitFor({ state: "detached" });
    await page.getByLabel("Runs", { exact: true }).getByText("crashed").waitFor({ state: "attached" });
    await expect.poll(() => server.seriesRequests.length).toBeGreaterThan(before);
  });

  it("moves through the list of runs with the arrow keys", async () => {
    const { page } = await open("/ada/digits");
    await page.getByRole("button", { name: "Hide lr 0.1", exact: true }).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Show lr 0.01", exact: true }).waitFor();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await expect.poll(() => linesOf(page, "loss")).toEqual(["lr-low"]);
    await page.getByRole("button", { name: "Show lr 0.1", exact: true }).click({ modifiers: ["Alt"] });
    await expect.poll(() => linesOf(page, "loss")).toEqual(["lr-high"]);
  });

  it("puts a run that starts now at the head of the list", async () => {
    const { page, server } = await open("/ada/digits");
    await page.getByRole("link", { name: "lr 0.1", exact: true }).waitFor();
    const model = server.run("digits", "lr-high");
    const fresh = { ...model, name: "fresh", displayName: "brand new", createdAt: "2099-01-01T00:00:00" };
    server.world.find((project) => project.name === "digits")?.runs.unshift(fresh);
    server.announce(fresh);
    await page.getByRole("link", { name: "brand new" }).waitFor();
    await expect.poll(() => linesOf(page, "loss")).toContain("fresh");
  });

  it("says what failed and draws after a retry", async () => {
    const { page, server } = await open("/ada/empty", { expectErrors: true });
    await page.getByText("No runs yet").waitFor();
    server.fail("/api/charts/series", 1000);
    await page.goto(`${page.url().replace("/ada/empty", "/ada/digits")}`);
    const alert = page.locator('[data-panel="loss"]').getByRole("alert");
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/the disk is full \(500\)/i);
    server.fail("/api/charts/series", 0);
    await alert.getByRole("button", { name: "Try again" }).click();
    await expect.poll(() => linesOf(page, "loss")).toHaveLength(3);
    await expect.poll(() => linesOf(page, "train/loss")).toHaveLength(3);
  });

  it("fetches nothing for a collapsed section, and no panel far below the screen", async () => {
    const { page, server } = await open("/ada/resnet-sweep?closed=layers");
    await page.locator('[data-panel="train/loss"] canvas').first().waitFor();
    const asked = () => new Set(server.seriesRequests.flatMap((body) => body.series.map((item) => item.key)));
    expect([...asked()].filter((key) => key.startsWith("layers/"))).toEqual([]);
    await page.getByRole("button", { name: /^layers/ }).click();
    await page.locator('[data-panel="layers/0/grad_norm"] canvas').first().waitFor();
    expect(asked()).not.toContain("layers/39/grad_norm");
  });

  it("shows a spike of one step among ten thousand, and says its value", async () => {
    const { page } = await open("/ada/resnet-sweep");
    const plot = page.locator('[data-panel="loss"] .u-over');
    await plot.waitFor();
    const box = await plot.boundingBox();
    if (box === null) throw new Error("the plot has no box");
    // the longest of the ten runs has 10,900 steps
    await page.mouse.move(box.x + (box.width * 4325) / 10_899, box.y + 20);
    await expect
      .poll(() => page.locator('[data-panel="loss"]').textContent())
      .toMatch(/… 6\.\d+ · 1\d points/);
  });

  it("keeps thousands of panels out of the page until they come near, and finds each", async () => {
    const { page, server } = await open("/ada/three-thousand-metrics");
    await page.locator("[data-panel] canvas").first().waitFor();
    expect(await page.locator("[data-panel]").count()).toBeLessThan(200);
    await page.getByRole("searchbox", { name: "Search charts (regex)" }).fill("block29/layer99/");
    await page.locator('[data-panel="block29/layer99/norm"] canvas').first().waitFor();
    const asked = new Set(server.seriesRequests.flatMap((body) => body.series.map((item) => item.key)));
    expect(asked.size).toBeLessThan(30);
  });

  it("searches runs by expression and metrics by name, from the keyboard", async () => {
    const { page } = await open("/ada/digits");
    await page.getByRole("link", { name: "lr 0.1", exact: true }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("0\\.0+1$");
    await expect
      .poll(() => page.getByLabel("Runs", { exact: true }).getByRole("link").allInnerTexts())
      .toEqual(["lr 0.01", "lr 0.001"]);
    await expect.poll(async () => (await linesOf(page, "loss")).length).toBe(2);
    await page.getByRole("searchbox", { name: "Search charts (regex)" }).fill("^val/");
    await expect.poll(() => page.locator("[data-panel]").count()).toBe(2);
  });

  it("takes names of prototypes and of markup as text", async () => {
    const { page } = await open("/ada/strange-names");
    for (const metric of ["__proto__", "constructor", "<b>bold</b>"]) {
      await expect.poll(() => linesOf(page, metric)).toEqual(["odd"]);
    }
    expect(await page.locator("img[src=x]").count()).toBe(0);
  });
});
