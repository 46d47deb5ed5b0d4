import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { open, setUpBrowser } from "./harness";

setUpBrowser();

/** The one in full screen, if there is one. */
const gridOf = (page: Page, key: string) => page.getByRole("grid", { name: key }).last();

describe("tables", () => {
  it("show a screen of ten thousand rows and three hundred columns, and say how many there are", async () => {
    const { page } = await open("/ada/media/runs/vision?m=embeddings");
    const grid = gridOf(page, "embeddings");
    await grid.getByText("row 0", { exact: true }).waitFor();
    await page.getByText("First 10,000 of 34,000 rows · 300 columns").waitFor();
    expect(await grid.getAttribute("aria-rowcount")).toBe("10001");
    expect(await grid.getByRole("gridcell").count()).toBeLessThan(1200);
    await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await grid.getByText("row 9999").waitFor();
    await grid.evaluate((element) => element.scrollTo(element.scrollWidth, 0));
    await grid.getByRole("columnheader", { name: "dim_298" }).waitFor();
  });

  it("sort by a column and back, numbers as numbers, and null at the end", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^samples$");
    const grid = gridOf(page, "samples");
    const head = grid.getByRole("columnheader", { name: "probability" });
    const firstCell = () => grid.getByRole("row").nth(1).getByRole("gridcell").nth(4).textContent();
    await head.getByRole("button").click();
    expect(await head.getAttribute("aria-sort")).toBe("ascending");
    await expect.poll(firstCell).toBe("0");
    await head.getByRole("button").click();
    await expect.poll(firstCell).toBe("0.990099");
    await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await grid.getByText("null").last().waitFor();
    await head.getByRole("button").click();
    expect(await head.getAttribute("aria-sort")).toBe("none");
  });

  it("filter rows, in full screen as part of the address", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^samples$&panel=samples");
    await page.getByRole("dialog").getByRole("searchbox").fill("checked");
    await page.getByText("40 of 200 rows match · 8 columns").waitFor();
    await gridOf(page, "samples").getByRole("columnheader", { name: "id" }).getByRole("button").dblclick();
    await expect.poll(() => new URL(page.url()).search).toContain("order=-id");
    await page.reload();
    await page.getByText("40 of 200 rows match").waitFor();
    const grid = gridOf(page, "samples");
    expect(await grid.getByRole("row").nth(1).getByRole("gridcell").first().textContent()).toBe("195");
    await page.getByRole("dialog").getByRole("searchbox").fill("nowhere");
    await page.getByText("No row matches").waitFor();
  });

  it("walk with the arrow keys and open what is too long for its cell", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^samples$&panel=samples");
    const grid = gridOf(page, "samples");
    await grid.getByText("a short text").first().waitFor();
    await grid.focus();
    for (const key of ["ArrowDown", "ArrowRight", "Enter"]) await page.keyboard.press(key);
    const detail = page.getByRole("region", { name: "text, row 1" });
    await detail.getByText("not even nearly").waitFor();
    await page.keyboard.press("Control+ArrowDown");
    await expect
      .poll(() => grid.locator("[aria-selected=true]").textContent())
      .toContain("a text that goes on");
    await page.keyboard.press("Control+ArrowRight");
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: "note, row 199" }).getByText("null").waitFor();
  });

  it("keep the cell that the keys are at for assistive technology, wherever the screen is", async () => {
    const { page } = await open("/ada/media/runs/vision?m=embeddings");
    const grid = gridOf(page, "embeddings");
    await grid.getByText("row 0", { exact: true }).waitFor();
    await grid.evaluate((element) => element.scrollTo(element.scrollWidth, element.scrollHeight));
    await grid.getByRole("columnheader", { name: "dim_298" }).waitFor();
    const active = () =>
      grid.evaluate((element) => {
        const id = element.getAttribute("aria-activedescendant") ?? "";
        return document.getElementById(id)?.textContent;
      });
    expect(await active()).toBe("row 0");
    expect(await grid.getByRole("gridcell").count()).toBeLessThan(1200);
  });

  it("are saved as CSV as they are shown, and as the file that was logged", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^samples$&panel=samples&rows=checked&order=-id");
    await gridOf(page, "samples").waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("dialog").getByRole("button", { name: "CSV" }).click();
    const saved = await download;
    expect(saved.suggestedFilename()).toBe("samples.csv");
    const lines = (await readFile(await saved.path(), "utf8")).split("\r\n");
    expect(lines).toHaveLength(42);
    expect(lines[1]).toMatch(/^195,"a text that goes on/);
    const json = page.getByRole("dialog").getByRole("link", { name: "JSON" });
    expect(await json.getAttribute("href")).toMatch(/samples_300\.table\.json\?download=1$/);
  });

  it("change with the step, and keep their order", async () => {
    const { page } = await open("/ada/media/runs/vision?m=^samples$&panel=samples&order=-guess&step=0");
    const guess = () =>
      gridOf(page, "samples").getByRole("row").nth(1).getByRole("gridcell").nth(3).textContent();
    await expect.poll(guess).toBe("9");
    await page.getByRole("dialog").getByRole("button", { name: "Step after" }).click();
    await page.getByRole("dialog").getByText("Step 100").waitFor();
    await expect.poll(guess).toBe("9");
  });

  it("say what is wrong with a broken file", async () => {
    const { page } = await open("/ada/media/runs/vision?m=lost");
    await page.getByText("The table could not be shown").waitFor();
    await page.getByText(/at position \d+/).waitFor();
  });
});
