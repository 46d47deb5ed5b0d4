import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { API_KEY } from "../../dev/mock/server";
import { createWorld } from "../../dev/mock/world";
import { runColour } from "../../src/model/colour";
import { countPixels, lowContrastTexts, open, setUpBrowser } from "./harness";

setUpBrowser();

describe("signing in", () => {
  it("refuses a wrong key, accepts the right one and shows the page that was asked for", async () => {
    const { page } = await open("/ada/digits", { signedIn: false, expectErrors: true });
    const field = page.getByLabel("API key");
    await field.fill("local-wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This key is not known to the server.").waitFor();
    await field.fill(API_KEY);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    expect(new URL(page.url()).pathname).toBe("/ada/digits");
  });

  it("signs out from the account menu, whose links close it", async () => {
    const { page } = await open("/ada/digits", { expectErrors: true });
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("link", { name: "API key" }).click();
    await page.getByRole("heading", { name: "Your API key" }).waitFor();
    expect(await page.getByRole("button", { name: "Sign out" }).count()).toBe(0);
    await page.getByRole("button", { name: "Account" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to runlane" }).waitFor();
  });

  it("comes back when the session ends while the page is open", async () => {
    const { page, server } = await open("/ada", { expectErrors: true });
    await page.getByRole("link", { name: /digits/ }).waitFor();
    server.signOut();
    await page.getByRole("link", { name: /digits/ }).click();
    await page.getByRole("heading", { name: "Sign in to runlane" }).waitFor();
  });
});

describe("home", () => {
  it("separates live runs from ended ones and lists projects", async () => {
    const { page } = await open("/");
    await page.getByRole("heading", { name: /^Live now/ }).waitFor();
    const live = page.getByRole("table").first();
    expect(await live.getByText("finished").count()).toBe(0);
    await page
      .getByRole("link", { name: /^resnet-sweep/ })
      .last()
      .click();
    await page.waitForURL("**/ada/resnet-sweep");
  });

  it("says how to begin when there is nothing", async () => {
    const { page } = await open("/", { world: [] });
    await page.getByText("Nothing has run yet").waitFor();
    expect(await page.locator("pre").textContent()).toContain("import runlane");
  });
});

describe("run", () => {
  it("follows the tail of a live log, stops when scrolled up, and searches", async () => {
    const { page, server } = await open("/ada/digits/runs/lr-high/logs");
    await page.getByText("step 1190").waitFor();
    const run = server.run("digits", "lr-high");
    server.advance(run, 1, [
      "\u001b[31mred line\u001b[0m",
      ...Array.from({ length: 60 }, (_, at) => `tail ${at}`),
    ]);
    await page.getByText("tail 59").waitFor();
    await page.getByRole("log").evaluate((element) => element.scrollTo(0, 0));
    await page.getByText("epoch 0").waitFor();
    await page.getByRole("button", { name: "Follow" }).waitFor();
    server.advance(run, 1, ["after scrolling"]);
    await page.getByText("182 lines").waitFor();
    expect(await page.getByText("after scrolling").count()).toBe(0);
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download" }).click();
    const saved = await readFile(await (await download).path(), "utf8");
    expect(saved.split("\n")).toHaveLength(183);
    expect(saved).toContain("after scrolling\n");
    await page.getByRole("searchbox").fill("^red");
    await page.getByText("1 of 182 lines").waitFor();
    const colour = await page.getByText("red line").evaluate((element) => getComputedStyle(element).color);
    expect(colour).toBe("rgb(179, 38, 30)");
  });

  it("follows lines that change, such as progress bars", async () => {
    const { page, server } = await open("/ada/digits/runs/lr-high/logs");
    await page.getByText("step 1190").waitFor();
    const run = server.run("digits", "lr-high");
    server.advance(run, 1, ["bar  10%|#   |", "behind it"]);
    await page.getByText("bar  10%").waitFor();
    run.log[run.log.length - 2] = "bar 100%|####|";
    server.advance(run, 1, []);
    await page.getByText("bar 100%|####|").waitFor();
    expect(await page.getByText("bar  10%").count()).toBe(0);
    await page.getByText("122 lines").waitFor();
  });

  it("reads a long log page by page, and a search finds lines of all of it", async () => {
    const world = createWorld();
    const run = world.find((project) => project.name === "digits")?.runs[1];
    run?.log.push(...Array.from({ length: 12_000 }, (_, at) => (at === 7777 ? "the needle" : `line ${at}`)));
    const { page } = await open("/ada/digits/runs/lr-mid-3/logs", { world });
    await page.getByText("12.1k lines").waitFor();
    await page.getByText("epoch 0").waitFor();
    expect(await page.getByText("line 11999").count()).toBe(0);
    await page.getByRole("button", { name: "To the end" }).click();
    await page.getByText("line 11999").waitFor();
    await page.getByRole("searchbox").fill("needle");
    await page.getByText("the needle").waitFor();
    await page.getByText("1 of 12.1k lines", { exact: true }).waitFor();
  });

  it("says where lines of a long log are not kept, and picks lines of one process", async () => {
    const world = createWorld();
    const run = world.find((project) => project.name === "digits")?.runs[1];
    if (run === undefined) throw new Error("no run");
    run.log.splice(0, run.log.length, ...Array.from({ length: 100_000 }, (_, at) => `line ${at}`));
    run.logGap = [1_010, 99_000];
    run.logLabels = ["rank-0", "rank-1"];
    const { page } = await open("/ada/digits/runs/lr-mid-3/logs?time=elapsed", { world });
    await page.getByText("100k lines").waitFor();
    await page.getByText("+1.5s").waitFor();
    await page.getByRole("log").evaluate((element) => element.scrollTo(0, 1_010 * 20));
    await page.getByText("97,990 lines are not kept").or(page.getByText("98k lines are not kept")).waitFor();
    await page.getByText("line 99000").waitFor();
    await page.getByRole("combobox", { name: "Label" }).selectOption("rank-1");
    await page.getByText("line 1", { exact: true }).waitFor();
    expect(await page.getByText("line 2", { exact: true }).count()).toBe(0);
    await page.getByRole("button", { name: "Wrap" }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get("lines")).toBe("wrap");
    await page.getByRole("button", { name: "stderr" }).click();
    await page.getByText("No line matches").waitFor();
  });

  it("shows text and pictures of files", async () => {
    const { page } = await open("/ada/digits/runs/lr-high/files");
    await page.getByRole("button", { name: /^train\.py/ }).click();
    await page.getByText('runlane.init(project="digits")').waitFor();
    await page.getByRole("button", { name: /^sample_0\.png/ }).click();
    const image = page.getByRole("img", { name: "media/images/sample_0.png" });
    await expect
      .poll(() => image.evaluate((element) => element instanceof HTMLImageElement && element.naturalWidth))
      .toBe(2);
    await page.getByRole("button", { name: /^model\.pt/ }).click();
    await page.getByText("No preview").waitFor();
    await page.goBack();
    await image.waitFor();
  });

  it("shows the code, compared with that of another run, and how it is made again", async () => {
    const { page } = await open("/ada/digits/runs/lr-high/code");
    await page.getByRole("button", { name: /^train\.py/ }).click();
    await page.getByText('runlane.init(project="digits")').waitFor();
    expect(await page.getByRole("button", { name: /^model\.pt/ }).count()).toBe(0);
    await page.getByRole("combobox", { name: "Compare with" }).selectOption("lr-low");
    await page.getByText("No difference").waitFor();
    expect(new URL(page.url()).searchParams.get("with")).toBe("lr-low");
    await page.getByRole("navigation", { name: "Run" }).getByRole("link", { name: "Overview" }).click();
    const commands = page.getByRole("region", { name: "Reproduce this run" });
    await commands.getByText("git clone https://example.org/ada/digits.git digits").waitFor();
    await commands.getByText("data.bin (size)").waitFor();
  });

  it("shows config and summary exactly, and finds in them", async () => {
    const { page } = await open("/ada/digits/lr-high");
    await page.waitForURL("**/ada/digits/runs/lr-high/overview");
    const config = page.getByRole("region", { name: "Config" });
    await config.getByText("9007199254740993").waitFor();
    await config.getByText("Infinity").waitFor();
    await page.getByRole("searchbox").fill("betas");
    await expect.poll(() => config.getByRole("listitem").count()).toBe(2);
  });

  it("has its own page for an address that leads nowhere", async () => {
    const { page } = await open("/ada/digits/runs/nobody/overview");
    await page.getByText("Nothing at this address").waitFor();
  });
});

describe("runs table", () => {
  it("sorts by a column, numbers as numbers, and keeps the order in the URL", async () => {
    const { page } = await open("/ada/resnet-sweep/table");
    const head = page.getByRole("button", { name: "config batch_size" });
    const column = page.locator("tbody tr td:nth-child(6)");
    const shown = async () => (await column.allInnerTexts()).map(Number);
    await head.click();
    await page.waitForURL("**?sort=-config.batch_size");
    await expect.poll(async () => (await shown())[0]).toBe(128);
    expect(await shown()).toEqual((await shown()).sort((a, b) => b - a));
    await head.click();
    await page.waitForURL("**?sort=config.batch_size");
    await expect.poll(async () => (await shown())[0]).toBe(32);
    await page.reload();
    await expect.poll(async () => (await shown())[0]).toBe(32);
  });
});

describe("keyboard", () => {
  it("goes to a metric by its name from the palette", async () => {
    const { page } = await open("/ada/digits");
    await page.locator('[data-panel="loss"] canvas').first().waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type("metric grad");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "train/grad_norm" }).locator("canvas").first().waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard and mouse" }).waitFor();
  });
});

describe("themes", () => {
  it.each(["light", "dark"] as const)("text keeps WCAG AA contrast in %s", async (colorScheme) => {
    const { page } = await open("/ada/digits/runs/lr-high/overview", { browser: { colorScheme } });
    await page.getByRole("region", { name: "Config" }).waitFor();
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
    await page.goto(page.url().replace("/runs/lr-high/overview", ""));
    await expect.poll(() => countPixels(page, "loss", runColour("lr-high", colorScheme))).toBeGreaterThan(50);
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
  });
});
