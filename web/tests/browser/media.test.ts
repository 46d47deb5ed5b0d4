import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { lowContrastTexts, open, setUpBrowser } from "./harness";

setUpBrowser();

const panel = (page: Page, key: string) => page.locator(`[data-panel="${key}"]`);
/** The slider's own words, which captions may repeat. */
const placeOf = (page: Page, key: string, text: string) => panel(page, key).locator("output").getByText(text);
const sliderOf = (page: Page, key: string) => panel(page, key).getByRole("slider", { name: "Step" });

/** Requests for files of runs, by path. */
function fileRequests(page: Page): string[] {
  const seen: string[] = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.includes("/files/")) seen.push(decodeURIComponent(pathname.split("/files/")[1] ?? ""));
  });
  return seen;
}

describe("images", () => {
  it("show the last step at first, with captions, and fetch that step's files only", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^sample$|predictions");
    const seen = fileRequests(page);
    await page.reload();
    const image = panel(page, "sample").getByRole("img", { name: "validation image 17 at step 300" });
    await expect.poll(() => image.evaluate((element: HTMLImageElement) => element.naturalWidth)).toBe(320);
    await panel(page, "predictions").getByText("3 → 1").waitFor();
    expect(await panel(page, "predictions").getByRole("img").count()).toBe(12);
    expect(seen.filter((path) => !/_300(_\d+)?\.png$/.test(path))).toEqual([]);
  });

  it("walk through the logged steps with the slider and its keys, together, and the address keeps the place", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^sample$|predictions");
    await sliderOf(page, "sample").focus();
    await page.keyboard.press("ArrowLeft");
    await placeOf(page, "sample", "Step 200").waitFor();
    await placeOf(page, "predictions", "Step 200").waitFor();
    expect(await sliderOf(page, "sample").getAttribute("aria-valuetext")).toBe("Step 200, 3 of 4");
    await page.keyboard.press("Home");
    await panel(page, "sample").getByRole("img", { name: "validation image 17 at step 0" }).waitFor();
    await expect.poll(() => new URL(page.url()).searchParams.get("step")).toBe("0");
    await page.reload();
    await placeOf(page, "sample", "Step 0").waitFor();
    await panel(page, "sample").getByRole("button", { name: "Step after" }).click();
    await placeOf(page, "predictions", "Step 100").waitFor();
  });

  it("follow the end of a live run, and stay where somebody put them", async () => {
    const { page, server } = await open("/ada/media/runs/vision?m=^sample$|street");
    await placeOf(page, "sample", "Step 300").waitFor();
    const run = server.run("media", "vision");
    const log = (step: number) => {
      for (const { steps } of run.media.values()) steps.push(step);
      server.advance(run, 100);
    };
    log(400);
    await placeOf(page, "sample", "Step 400").waitFor();
    await placeOf(page, "sample", "5 of 5").waitFor();
    await panel(page, "sample").getByRole("button", { name: "Step before" }).click();
    await placeOf(page, "street", "Step 300").waitFor();
    log(500);
    await placeOf(page, "sample", "4 of 6").waitFor();
    await placeOf(page, "sample", "Step 300").waitFor();
  });

  it("open in full screen, one of many too, and escape leads back", async () => {
    const { page } = await open("/ada/media/runs/vision?m=predictions");
    await panel(page, "predictions").getByRole("button", { name: "Enlarge 3 → 1" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("4 of 12").waitFor();
    await dialog.getByRole("button", { name: "Image after" }).click();
    await dialog.getByRole("img", { name: "4 → 8" }).waitFor();
    expect(new URL(page.url()).searchParams.get("image")).toBe("4");
    await dialog.getByRole("button", { name: "All images" }).click();
    await dialog.getByRole("button", { name: "Enlarge 5 → 5" }).waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect(new URL(page.url()).searchParams.get("panel")).toBeNull();
  });

  it("have layers that can be switched off, with the names of their classes", async () => {
    const { page } = await open("/ada/media/runs/vision?m=street&panel=street");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("sun · confidence 0.874").waitFor();
    const boxes = dialog.getByRole("list", { name: "Boxes “found”" });
    await boxes.getByRole("listitem").filter({ hasText: "sun · confidence 0.874" }).waitFor();
    const mask = dialog.locator("canvas");
    await mask.waitFor();
    const painted = () =>
      mask.evaluate((element: HTMLCanvasElement) => {
        const pixels = element.getContext("2d")?.getImageData(0, 0, element.width, element.height);
        return [...(pixels?.data ?? [])].filter((part, at) => at % 4 === 3 && part > 0).length;
      });
    await expect.poll(painted).toBeGreaterThan(320 * 40);
    const both = await painted();
    await dialog.getByRole("button", { name: "road" }).click();
    await expect.poll(painted).toBeLessThan(both);
    expect(await dialog.locator("svg text").allTextContents()).toEqual(["sun · confidence 0.874"]);
    await dialog.getByRole("button", { name: "sky" }).click();
    await expect.poll(painted).toBeGreaterThan(both);
    await dialog.getByRole("button", { name: "prediction masks" }).click();
    await mask.waitFor({ state: "detached" });
    await dialog.getByRole("button", { name: "found boxes" }).click();
    await dialog.getByText("sun · confidence 0.874").waitFor({ state: "detached" });
  });

  it("say what is wrong with a file that is not there, and show it once it is", async () => {
    const { page, server } = await open("/ada/media/runs/vision?m=late", { expectErrors: true });
    await panel(page, "late").getByText("Not uploaded yet").waitFor();
    const run = server.run("media", "vision");
    const file = run.files.get("media/images/sample_300.png");
    if (file === undefined) throw new Error("no picture");
    server.putFile(run, "media/images/late_300.png", file);
    await expect
      .poll(
        () =>
          panel(page, "late")
            .getByRole("img")
            .evaluateAll((all: HTMLImageElement[]) => all[0]?.naturalWidth),
        { timeout: 8000 },
      )
      .toBe(320);
    await page.goto(page.url().replace("vision", "seen"));
    await panel(page, "late").getByText("The file is missing").waitFor();
  });
});

describe("layers of images", () => {
  it("are loaded only of images in sight", async () => {
    const { page } = await open("/ada/media/runs/vision?m=crowd&panel=crowd");
    const seen = fileRequests(page);
    await page.reload();
    const dialog = page.getByRole("dialog");
    await dialog.locator("canvas").first().waitFor();
    const masks = () => seen.filter((path) => path.includes("/mask/")).length;
    const before = masks();
    expect(before).toBeLessThan(60);
    await dialog.getByRole("img", { name: "crowd, image 100", exact: true }).scrollIntoViewIfNeeded();
    await expect.poll(masks).toBeGreaterThan(before);
  });

  const serveBoxes = (page: Page, count: number) => {
    const box = '{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}';
    const body = `{"box_data": [${Array.from({ length: count }, () => box).join(",")}]}`;
    return page.route("**/street_300.boxes2D.json", (route) =>
      route.fulfill({ contentType: "application/json", body }),
    );
  };
  const street = "/ada/media/runs/vision?m=street&panel=street";

  it("say that they are missing, and show once they are there", async () => {
    const { page } = await open("/ada/media/runs/vision?m=nothing", { expectErrors: true });
    const mask = "**/mask/street_300.mask.png";
    await page.route(mask, (route) => route.fulfill({ status: 404, body: "{}" }));
    await serveBoxes(page, 1200);
    await page.goto(new URL(street, page.url()).href);
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Mask “prediction”: not uploaded yet").waitFor();
    await dialog.getByText("The first 1,000 of 1,200 boxes “found”").waitFor();
    await page.unroute(mask);
    await dialog.locator("canvas").waitFor();
  });

  it("say that there are too many boxes in a file to read them", async () => {
    const { page } = await open("/ada/media/runs/vision?m=nothing");
    await serveBoxes(page, 120_000);
    await page.goto(new URL(street, page.url()).href);
    await page.getByRole("dialog").getByText("Boxes “found”: too many to show").waitFor();
  });
});

describe("other media", () => {
  it("play, or say that their viewer is yet to come", async () => {
    const { page } = await open("/ada/media/runs/vision?m=speech|clip|report|figure");
    await panel(page, "speech").getByText("660 Hz").waitFor();
    await expect.poll(() => panel(page, "speech").locator("audio").count()).toBe(2);
    await panel(page, "clip").getByRole("img", { name: "one pixel" }).waitFor();
    const card = panel(page, "figure");
    await card.getByText("Its viewer is not part of the app yet.").waitFor();
    expect(await card.getByRole("link", { name: "Download" }).getAttribute("href")).toMatch(
      /figure_300\.plotly\.json\?download=1$/,
    );
  });

  it("run pages of HTML in a frame that is nobody's", async () => {
    const { page } = await open("/ada/media/runs/vision?m=report");
    const frame = panel(page, "report").locator("iframe");
    expect(await frame.getAttribute("sandbox")).toBe("allow-scripts");
    await panel(page, "report").frameLocator("iframe").getByText("a script of the page ran").waitFor();
  });

  it("draw histograms as one heat map, which says what is under the pointer", async () => {
    const { page } = await open("/ada/media/runs/vision?m=weights");
    const map = panel(page, "weights/w1").getByRole("img", {
      name: /^Histograms of weights\/w1, steps 0 to 300/,
    });
    await map.hover({ position: { x: 150, y: 100 } });
    await panel(page, "weights/w1").getByText(/%\)$/).waitFor();
    const figures = panel(page, "weights/w1").getByRole("table", { name: "Quantiles of weights/w1" });
    expect(await figures.getByRole("row").count()).toBe(5);
    expect(await figures.getByRole("row", { name: /^300 / }).textContent()).toBe(
      "30010,872−0.13070.27020.6456",
    );
  });

  it("are panels of their section, which closes with them, and keep their text readable", async () => {
    const { page } = await open("/ada/media/runs/vision?m=attention|^sample$|figure");
    await placeOf(page, "sample", "Step 300").waitFor();
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
    await page.getByRole("button", { name: /^attention/ }).click();
    expect(await panel(page, "attention/map").count()).toBe(0);
    expect(await page.getByRole("region", { name: "attention" }).getByRole("heading").count()).toBe(1);
  });

  it("do not turn sizes of pictures into charts", async () => {
    const { page } = await open("/ada/media/runs/seen");
    await panel(page, "sample").waitFor();
    expect(await page.locator("[data-lines]").count()).toBe(0);
  });
});
