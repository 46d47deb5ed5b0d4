/** Content that somebody logged to harm whoever looks at it: nothing of it runs, leads elsewhere or reaches the network. */

import { createServer } from "node:http";
import type { Page } from "playwright-core";
import { afterAll, describe, expect, it } from "vitest";
import { everyMedia, type MockFile } from "../../dev/mock/media";
import { createWorld, type MockProject } from "../../dev/mock/world";
import { open, setUpBrowser } from "./harness";

setUpBrowser();

/** A host that nothing may reach; what does is noted. */
const reached: string[] = [];
const canary = createServer((request, response) => {
  reached.push(request.url ?? "");
  response.end();
});
await new Promise<void>((resolve) => canary.listen(0, "127.0.0.1", resolve));
const address = canary.address();
const CANARY = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
afterAll(() => {
  canary.close();
});

const ACT = `window.pwned=1;alert(1);fetch('${CANARY}/fetch').catch(()=>0);new Image().src='${CANARY}/image'`;

const PAYLOADS = [
  `<script>${ACT}</script>`,
  `<img src=x onerror="${ACT}">`,
  `<svg onload="${ACT}">`,
  `<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>`,
  `<a href="javascript:${ACT}">click</a>`,
  `"><script>${ACT}</script>`,
  `'" onmouseover="${ACT}" x="`,
  `</textarea><script>${ACT}</script>`,
  `</title><script>${ACT}</script>`,
  `<base href="${CANARY}/">`,
  `<meta http-equiv="refresh" content="0;url=${CANARY}/meta">`,
  `<link rel="stylesheet" href="${CANARY}/style.css">`,
  `<style>@import url(${CANARY}/import.css)</style>`,
  `<object data="${CANARY}/object"></object>`,
  `<embed src="${CANARY}/embed">`,
  `<video><source onerror="${ACT}"></video>`,
  `<details open ontoggle="${ACT}">`,
  `<form action="${CANARY}/form"><button>`,
  `<math><mtext><script>${ACT}</script></mtext></math>`,
  `{{constructor.constructor("${ACT}")()}}`,
  `\${${ACT}}`,
  `javascript:${ACT}`,
  `data:text/html,<script>${ACT}</script>`,
  `=HYPERLINK("${CANARY}/formula","x")`,
  "\u202egnp.exe\u0000\u001b[31m",
];

const html = (body: string): MockFile => ({
  type: "text/html; charset=utf-8",
  bytes: new TextEncoder().encode(body),
});
const picture = (body: string): MockFile => ({
  type: "image/svg+xml",
  bytes: new TextEncoder().encode(body),
});

/** A run whose every text is a payload: captions, cells, columns, keys, names of layers and classes, files. */
function hostileWorld(): MockProject[] {
  const { media, files } = everyMedia([0]);
  media.clear();
  const add = (key: string, type: string, value: Record<string, unknown>) =>
    media.set(key, { type, steps: [0], at: () => ({ _type: type, ...value }) });
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40" onload="${ACT}"><script>${ACT}</script><image href="${CANARY}/svg.png" width="9" height="9"/><rect width="40" height="40" fill="red"/></svg>`;
  files.set("media/images/drawing.svg", picture(drawing));
  const filenames = PAYLOADS.map(() => "media/images/drawing.svg");
  add("captions", "images/separated", { filenames, captions: PAYLOADS, count: filenames.length });
  const page = `<h1>shown</h1><p id="out"></p><script>
    const out = [];
    for (const act of [() => parent.document.title, () => document.cookie, () => localStorage.length, () => top.location.href]) {
      try { out.push(String(act())); } catch { out.push("denied"); }
    }
    document.getElementById("out").textContent = out.join(" ");
    ${ACT.replace("window.pwned=1", "try { parent.pwned = 1 } catch {}")};
    try { top.location = "${CANARY}/top"; } catch {}
    try { window.open("${CANARY}/open"); } catch {}
    document.body.append(Object.assign(document.createElement("form"), { action: "${CANARY}/form" }));
    document.forms[0].submit();
    navigator.sendBeacon("${CANARY}/beacon");
  </script>`;
  files.set("media/html/page.html", html(page));
  files.set("media/html/away.html", html(`<script>location.href = "${CANARY}/self"</script>`));
  add("away", "html-file", { path: "media/html/away.html" });
  add("page", "html-file", { path: "media/html/page.html", caption: PAYLOADS[0] });
  const columns = PAYLOADS;
  const table = JSON.stringify({
    columns,
    data: PAYLOADS.map((_, row) => PAYLOADS.map((__, at) => PAYLOADS[(at + row) % PAYLOADS.length])),
  });
  files.set("media/table/cells.table.json", {
    type: "application/json",
    bytes: new TextEncoder().encode(table),
  });
  add("cells", "table-file", { path: "media/table/cells.table.json", nrows: PAYLOADS.length });
  for (const path of ["../../../../logout", "media/../../secret", "/etc/passwd", "a\\b", "media//x"]) {
    add(`path ${path}`, "html-file", { path });
  }
  for (const payload of PAYLOADS) add(payload, "plotly-file", { path: "media/images/drawing.svg", size: 1 });
  add("layers", "image-file", {
    path: "media/images/drawing.svg",
    width: 40,
    height: 40,
    masks: { [PAYLOADS[1] ?? ""]: { path: "media/images/drawing.svg" } },
    boxes: { [PAYLOADS[2] ?? ""]: { path: "media/metadata/boxes.json" } },
  });
  const boxes = {
    box_data: [{ position: { minX: 0, maxX: 1, minY: 0, maxY: 1 }, class_id: 1, box_caption: PAYLOADS[1] }],
  };
  files.set("media/metadata/boxes.json", {
    type: "application/json",
    bytes: new TextEncoder().encode(JSON.stringify(boxes)),
  });
  const world = createWorld();
  const project = world.find(({ name }) => name === "media");
  const run = project?.runs[0];
  if (project === undefined || run === undefined) throw new Error("no run");
  project.runs[0] = { ...run, media, files };
  return world;
}

/** Opens a page of the hostile run and notes whatever gets out. */
async function watch(path: string, height = 900) {
  const stage = await open("/healthz", {
    world: hostileWorld(),
    browser: { viewport: { width: 1280, height } },
    expectErrors: true,
    expectViolations: true,
  });
  const caught: string[] = [];
  reached.length = 0;
  const { page } = stage;
  page.on("dialog", (dialog) => {
    caught.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("popup", (popup) => caught.push(`popup ${popup.url()}`));
  await page.goto(stage.url + path);
  return { page, url: stage.url, caught };
}

/** Nothing ran in the page, nothing was asked of elsewhere, and the page is where it was. */
async function expectHarmless(page: Page, url: string, caught: readonly string[]): Promise<void> {
  expect(await page.evaluate(() => Reflect.get(window, "pwned"))).toBeUndefined();
  expect(page.url().startsWith(url)).toBe(true);
  expect([...caught, ...reached]).toEqual([]);
  const planted =
    "#root script, #root base, #root meta, #root link, #root object, #root embed, #root form, #root [onerror], #root [onload], #root a[href^='javascript:']";
  expect(await page.locator(planted).count()).toBe(0);
}

describe("hostile content", () => {
  it("in captions, keys and names of layers is text, and drawings are pictures", async () => {
    const { page, url, caught } = await watch("/ada/media/runs/vision");
    await page
      .getByText(PAYLOADS[0] ?? "", { exact: true })
      .first()
      .waitFor();
    const shown = await page.locator('[data-panel="captions"] figcaption').allTextContents();
    expect(shown).toEqual(PAYLOADS.slice(0, shown.length));
    expect(shown.length).toBe(PAYLOADS.length);
    await page.locator('[data-panel="layers"]').scrollIntoViewIfNeeded();
    await page.locator('[data-panel="layers"] svg text').first().waitFor();
    for (const heading of await page.locator("[data-panel]").all()) await heading.scrollIntoViewIfNeeded();
    await expectHarmless(page, url, caught);
  });

  it("in a page of HTML runs without the app's origin, its cookies, pop-ups and the network", async () => {
    const { page, url, caught } = await watch("/ada/media/runs/vision?m=^(page|away)$");
    const frame = page.locator('[data-panel="page"]').frameLocator("iframe");
    await frame.getByText("denied denied denied denied").waitFor();
    await page.waitForTimeout(300);
    await expectHarmless(page, url, caught);
    await page.goto(`${url}/api/runs/ada/media/vision/files/media/html/page.html`);
    await page.waitForTimeout(100);
    expect(await page.locator("#out").textContent()).toBe("");
    expect([...caught, ...reached]).toEqual([]);
  });

  it("in cells and names of columns is text, and no formula gets into a spreadsheet", async () => {
    const { page, url, caught } = await watch("/ada/media/runs/vision?panel=cells");
    const grid = page.getByRole("grid", { name: "cells" });
    await grid.getByRole("gridcell").first().waitFor();
    expect(await grid.getByRole("gridcell").first().textContent()).toBe(PAYLOADS[0]);
    await grid.focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page
      .getByRole("region", { name: /row 1$/ })
      .getByText(PAYLOADS[1] ?? "", { exact: true })
      .waitFor();
    await grid.evaluate((element) => element.scrollTo(1e6, 1e6));
    await expectHarmless(page, url, caught);
  });

  it("cannot lead a file's path out of the run's files", async () => {
    const { page, url, caught } = await watch("/ada/media/runs/vision?m=^path", 3000);
    await expect.poll(() => page.getByText("is not the name of a file of the run").count()).toBe(5);
    expect(await page.locator("iframe").count()).toBe(0);
    await expectHarmless(page, url, caught);
  });

  it("in artifacts is text", async () => {
    const { page, url, caught } = await watch("/ada/media/runs/vision/artifacts");
    await page.getByRole("link", { name: "odd-one:v0" }).click();
    await page.getByText(".txt").waitFor();
    await expectHarmless(page, url, caught);
  });
});
