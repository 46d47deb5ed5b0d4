/** Pictures of every page, light and dark, wide and narrow, into `screenshots/` (or `$SCREENSHOTS`): for people to look at. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "./chromium";
import { MockServer } from "./mock/server";

interface Shot {
  readonly name: string;
  readonly path: string;
  readonly prepare?: (page: Page, server: MockServer) => Promise<void>;
  readonly signedOut?: boolean;
  readonly fail?: string;
}

const SHOTS: readonly Shot[] = [
  { name: "home", path: "/" },
  { name: "profile", path: "/ada" },
  { name: "workspace", path: "/ada/digits" },
  { name: "workspace-hover", path: "/ada/digits", prepare: hover },
  { name: "workspace-busy", path: "/ada/resnet-sweep?smooth=0.6&x=_runtime" },
  { name: "workspace-zoom", path: "/ada/resnet-sweep?zoom=4000,5000&logy=1", prepare: openSettings },
  { name: "workspace-panel", path: "/ada/resnet-sweep?panel=train/loss", prepare: hoverDialog },
  { name: "workspace-empty", path: "/ada/empty" },
  { name: "workspace-quiet", path: "/ada/nothing-logged" },
  { name: "workspace-strange", path: "/ada/strange-names" },
  { name: "workspace-big", path: "/ada/ten-thousand-runs" },
  { name: "workspace-broken", path: "/ada/digits", fail: "/api/charts/series" },
  { name: "table", path: "/ada/resnet-sweep/table" },
  { name: "project-overview", path: "/ada/digits/overview" },
  { name: "run-charts", path: "/ada/digits/runs/lr-high" },
  { name: "run-lost", path: "/ada/digits/runs/lr-low" },
  { name: "run-alerts", path: "/ada/digits/runs/lr-low/overview" },
  { name: "run-stop", path: "/ada/digits/runs/lr-high", prepare: askToStop },
  { name: "run-in-notebook", path: "/ada/digits/runs/lr-high?jupyter=true" },
  { name: "run-overview", path: "/ada/digits/runs/lr-high/overview" },
  { name: "run-system", path: "/ada/digits/runs/lr-high/system" },
  { name: "run-system-busy", path: "/ada/two-nodes/runs/pretrain/system", prepare: hoverSystem },
  { name: "run-system-cores", path: "/ada/two-nodes/runs/pretrain/system?m=core", prepare: hoverCores },
  { name: "run-system-zoom", path: "/ada/two-nodes/runs/one-gpu/system?x=_runtime&zoom=300,900" },
  { name: "run-system-panel", path: "/ada/two-nodes/runs/pretrain/system?panel=GPU/powerWatts@node-1" },
  { name: "run-system-empty", path: "/ada/nothing-logged/runs/quiet/system" },
  { name: "run-system-broken", path: "/ada/digits/runs/lr-high/system", fail: "/api/charts/series" },
  { name: "workspace-system", path: "/ada/two-nodes?system=open", prepare: scrollToSystem },
  { name: "run-media", path: "/ada/media/runs/vision", prepare: settle },
  {
    name: "run-media-images",
    path: "/ada/media/runs/vision?m=predictions|sample|street|late&step=100",
    prepare: settle,
  },
  { name: "run-media-tables", path: "/ada/media/runs/vision?m=samples|embeddings|lost", prepare: settle },
  {
    name: "run-media-others",
    path: "/ada/media/runs/vision?m=speech|clip|report|figure|weights",
    prepare: settle,
  },
  { name: "run-media-list", path: "/ada/media/runs/vision?panel=predictions", prepare: settle },
  { name: "run-media-image", path: "/ada/media/runs/vision?panel=street&step=200", prepare: settle },
  {
    name: "run-media-table",
    path: "/ada/media/runs/vision?panel=samples&order=-probability&rows=while",
    prepare: settle,
  },
  { name: "run-media-ended", path: "/ada/media/runs/seen?m=late|lost", prepare: settle },
  {
    name: "run-media-broken",
    path: "/ada/media/runs/vision?m=sample|samples",
    fail: "/api/runs",
    prepare: settle,
  },
  { name: "run-artifacts", path: "/ada/media/runs/vision/artifacts" },
  { name: "run-artifacts-empty", path: "/ada/digits/runs/lr-high/artifacts" },
  { name: "artifact", path: "/ada/media/artifacts/dataset/street-scenes/v3" },
  {
    name: "artifact-references",
    path: "/ada/media/artifacts/dataset/street-scenes/v3",
    prepare: scrollEntries,
  },
  { name: "artifact-odd", path: "/ada/media/artifacts/odd/odd-one/v0" },
  { name: "artifact-broken", path: "/ada/media/artifacts/model/segmenter/latest", fail: "/graphql" },
  { name: "run-logs", path: "/ada/digits/runs/lr-high/logs" },
  { name: "run-logs-ranks", path: "/ada/two-nodes/runs/pretrain/logs" },
  { name: "run-logs-gap", path: "/ada/two-nodes/runs/pretrain/logs?time=elapsed", prepare: scrollToGap },
  { name: "run-logs-wrap", path: "/ada/two-nodes/runs/pretrain/logs?lines=wrap" },
  { name: "run-logs-search", path: "/ada/two-nodes/runs/pretrain/logs?q=norm&label=rank-1" },
  { name: "run-logs-none", path: "/ada/two-nodes/runs/pretrain/logs?q=nowhere" },
  { name: "run-logs-empty", path: "/ada/nothing-logged/runs/quiet/logs" },
  { name: "run-logs-broken", path: "/ada/digits/runs/lr-high/logs", fail: "/api/runs" },
  { name: "run-files", path: "/ada/digits/runs/lr-high/files?file=code/train.py" },
  { name: "run-code", path: "/ada/digits/runs/lr-high/code?file=code/train.py" },
  { name: "run-code-empty", path: "/ada/nothing-logged/runs/quiet/code" },
  { name: "not-found", path: "/ada/none" },
  { name: "sign-in", path: "/", signedOut: true },
  { name: "authorize", path: "/authorize" },
  { name: "palette", path: "/ada/digits", prepare: (page) => page.keyboard.press("Control+k") },
  { name: "shortcuts", path: "/ada/digits", prepare: (page) => page.keyboard.press("?") },
];

const SIZES = [
  ["wide", { width: 1280, height: 800 }],
  ["phone", { width: 390, height: 844 }],
] as const;

export async function takeScreenshots(names: readonly string[]): Promise<void> {
  const folder = process.env.SCREENSHOTS ?? "screenshots";
  await mkdir(folder, { recursive: true });
  const browser = await launchChromium();
  try {
    for (const shot of SHOTS) {
      if (names.length > 0 && !names.includes(shot.name)) continue;
      const variants = (["light", "dark"] as const).flatMap((theme) =>
        SIZES.map(([size, viewport]) => ({ theme, viewport, file: `${shot.name}-${theme}-${size}.png` })),
      );
      await Promise.all(
        variants.map(({ theme, viewport, file }) =>
          takeShot(browser, shot, theme, viewport, join(folder, file)),
        ),
      );
    }
  } finally {
    await browser.close();
  }
}

async function scrollToGap(page: Page): Promise<void> {
  await page.getByRole("log").evaluate((element) => element.scrollTo(0, 1_190 * 20));
  await page.getByText("are not kept").waitFor();
}

async function takeShot(
  browser: Browser,
  shot: Shot,
  colorScheme: "light" | "dark",
  viewport: { readonly width: number; readonly height: number },
  file: string,
): Promise<void> {
  const server = new MockServer({ dist: "dist", signedIn: shot.signedOut !== true });
  if (shot.fail !== undefined) server.fail(shot.fail, 1000);
  const url = await server.start();
  const page = await browser.newPage({ colorScheme, viewport: { ...viewport } });
  try {
    await page.goto(url + shot.path);
    await page.waitForTimeout(900);
    await shot.prepare?.(page, server);
    await page.waitForTimeout(250);
    await page.screenshot({ path: file });
  } finally {
    await page.close();
    await server.stop();
  }
}

/** Pictures and files take longer than the page. */
async function settle(page: Page): Promise<void> {
  await page.waitForTimeout(1500);
}

async function scrollEntries(page: Page): Promise<void> {
  const list = page.getByRole("list", { name: /files$/ });
  for (let turn = 0; turn < 4; turn += 1) {
    await list.evaluate((element) => element.parentElement?.scrollTo(0, 1e6));
    await page.waitForTimeout(300);
  }
}

async function askToStop(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Stop run" }).click();
}

async function hover(page: Page): Promise<void> {
  const panel = page.locator("[data-panel='train/loss'] .u-over");
  if (await panel.isVisible()) await panel.hover({ position: { x: 120, y: 60 } });
}

async function hoverSystem(page: Page): Promise<void> {
  const panel = page.locator("[data-panel='GPU/gpu@node-1'] .u-over");
  await panel.waitFor();
  await panel.hover({ position: { x: 150, y: 60 } });
}

async function hoverCores(page: Page): Promise<void> {
  const panel = page.locator("[data-panel='CPU/cores@node-1'] .u-over");
  await panel.waitFor();
  await panel.hover({ position: { x: 150, y: 60 } });
}

async function scrollToSystem(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^System/ }).scrollIntoViewIfNeeded();
  await page.waitForTimeout(400);
}

async function hoverDialog(page: Page): Promise<void> {
  await page.locator("dialog .u-over").hover({ position: { x: 160, y: 90 } });
}

async function openSettings(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Chart settings" }).click();
}
