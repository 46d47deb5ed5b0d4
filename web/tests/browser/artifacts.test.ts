import { describe, expect, it } from "vitest";
import { lowContrastTexts, open, setUpBrowser } from "./harness";

setUpBrowser();

describe("artifacts of a run", () => {
  it("are listed as outputs and inputs, counted on the tab", async () => {
    const { page } = await open("/ada/media/runs/vision");
    await page.getByRole("link", { name: /^Artifacts 5/ }).click();
    const outputs = page.getByRole("table", { name: "Outputs" });
    await outputs.getByRole("link", { name: "segmenter:v1" }).waitFor();
    const row = outputs.getByRole("row", { name: /segmenter:v1/ });
    expect(await row.textContent()).toMatch(/model.*latest.*best.*94\.4 MB/);
    // an alias of a link, in a collection of the same name elsewhere
    expect(await outputs.getByText("approved").count()).toBe(0);
    await outputs.getByText("uploading…").waitFor();
    await page
      .getByRole("table", { name: "Inputs" })
      .getByRole("link", { name: "street-scenes:v3" })
      .waitFor();
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
  });

  it("say how to log one when there are none", async () => {
    const { page } = await open("/ada/digits/runs/lr-high/artifacts");
    await page.getByText("No artifacts").waitFor();
    expect(await page.locator("pre").textContent()).toContain("log_artifact");
  });

  it("are reached with the keys that walk through tabs", async () => {
    const { page } = await open("/ada/media/runs/vision/files");
    await page.getByText("No file is open").waitFor();
    await page.keyboard.press("]");
    await page.waitForURL("**/artifacts");
  });
});

describe("a version", () => {
  it("says what it is, where it comes from and who used it", async () => {
    const { page } = await open("/ada/media/runs/vision/artifacts");
    await page.getByRole("link", { name: "street-scenes:v3" }).click();
    await page.waitForURL("**/ada/media/artifacts/dataset/street-scenes/v3");
    await page.getByText("Licence: CC-BY.").waitFor();
    await page.getByText("licensed").waitFor();
    expect(await page.getByRole("region", { name: "Metadata" }).textContent()).toContain("12000");
    expect(await page.getByRole("link", { name: "vision" }).getAttribute("href")).toBe(
      "/ada/media/runs/vision",
    );
    expect(await page.evaluate(lowContrastTexts)).toEqual([]);
    await page.getByRole("link", { name: "seen" }).click();
    await page.waitForURL("**/ada/media/runs/seen");
  });

  it("lists its files page by page, marks references and links to safe addresses only", async () => {
    const { page } = await open("/ada/media/artifacts/dataset/street-scenes/latest");
    await page.getByRole("heading", { name: "street-scenes:v3" }).waitFor();
    await page.getByText("500 of 1,204 files loaded").waitFor();
    const download = page.getByRole("link", { name: "Download frames/00000.png" });
    expect(await download.getAttribute("href")).toBe("http://127.0.0.1:9/storage/file?sig=get");
    const list = page.getByRole("list", { name: "1,204 files" });
    const toEnd = () => list.evaluate((element) => element.parentElement?.scrollTo(0, 1e6));
    await expect
      .poll(async () => {
        await toEnd();
        return page.getByText("raw/archive.tar").count();
      })
      .toBeGreaterThan(0);
    await list.getByText("reference to s3://bucket/raw/archive.tar").waitFor();
    const links = await list
      .getByRole("link")
      .evaluateAll((all: HTMLAnchorElement[]) => all.map((a) => a.href));
    expect(links).toContain("https://example.org/notes");
    expect(links.filter((link) => !/^https?:/.test(link))).toEqual([]);
  });

  it("is not found where there is none", async () => {
    const { page } = await open("/ada/media/artifacts/dataset/street-scenes/v99");
    await page.getByRole("heading", { name: "Nothing at this address" }).waitFor();
  });

  it("is not found under a type that it is not of", async () => {
    const { page } = await open("/ada/media/artifacts/model/street-scenes/v3");
    await page.getByRole("heading", { name: "Nothing at this address" }).waitFor();
  });

  it("says so when it cannot be loaded, and comes back", async () => {
    const { page, server } = await open("/ada/media/runs/vision/artifacts", { expectErrors: true });
    await page.getByRole("link", { name: "segmenter:v0" }).waitFor();
    server.fail("/graphql", 6);
    await page.getByRole("link", { name: "segmenter:v0" }).click();
    await page.getByText("The artifact could not be loaded").waitFor();
    server.fail("/graphql", 0);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("model.pt").waitFor();
  });
});
