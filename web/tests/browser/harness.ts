/** Mock server + headless Chromium for the behaviour tests; every page checks that the app broke no promise. */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { launchChromium } from "../../dev/chromium";
import { type MockOptions, MockServer } from "../../dev/mock/server";

const DIST = new URL("../../dist", import.meta.url).pathname;

export interface Stage {
  readonly page: Page;
  readonly server: MockServer;
  readonly url: string;
}

export interface StageOptions extends MockOptions {
  readonly browser?: BrowserContextOptions;
  /** Console errors that the test provokes. */
  readonly expectErrors?: boolean;
  /** Whether content of a run is to run into the policies. */
  readonly expectViolations?: boolean;
}

let browser: Browser;
let cleanups: (() => Promise<void>)[] = [];

/** Registers the shared browser; call once at the top of a test file. */
export function setUpBrowser(): void {
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterEach(async () => {
    // taken first: one that fails must not come up again after the next test
    const due = cleanups.reverse();
    cleanups = [];
    for (const cleanup of due) await cleanup();
  });
  afterAll(() => browser.close());
}

/** Opens `path` of a fresh server in a fresh browser context. */
export async function open(path: string, options: StageOptions = {}): Promise<Stage> {
  const server = new MockServer({ dist: DIST, ...options });
  const url = await server.start();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options.browser });
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    const policy = message.text().includes("Content Security Policy");
    const expected = policy ? options.expectViolations : options.expectErrors;
    if (message.type() === "error" && expected !== true) faults.push(message.text());
  });
  cleanups.push(async () => {
    await context.close();
    await server.stop();
    expect(faults).toEqual([]);
  });
  await page.goto(url + path);
  return { page, server, url };
}

/** Ids of the runs whose lines a panel draws. */
export async function linesOf(page: Page, metric: string): Promise<string[]> {
  const text = await page.locator(`[data-panel="${metric}"] [data-lines]`).getAttribute("data-lines");
  return (text ?? "").split(" ").filter(Boolean);
}

/** How many pixels of a panel's canvas have roughly this colour. */
export function countPixels(page: Page, metric: string, colour: string): Promise<number> {
  const wanted = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return page
    .locator(`[data-panel="${metric}"] canvas`)
    .first()
    .evaluate((element, [red = 0, green = 0, blue = 0]) => {
      if (!(element instanceof HTMLCanvasElement)) return 0;
      const data = element.getContext("2d")?.getImageData(0, 0, element.width, element.height).data ?? [];
      let count = 0;
      for (let at = 0; at < data.length; at += 4) {
        const near = (offset: number, value: number) => Math.abs((data[at + offset] ?? 0) - value) < 12;
        if ((data[at + 3] ?? 0) > 200 && near(0, red) && near(1, green) && near(2, blue)) count += 1;
      }
      return count;
    }, wanted);
}

/** Runs in the page: texts whose colour is too near to what lies behind them. */
export function lowContrastTexts(): string[] {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  if (canvas === null) throw new Error("no canvas");
  const rgba = (colour: string) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour: number[]) => {
    const [red = 0, green = 0, blue = 0] = colour.map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element: Element | null): number[] => {
    if (element === null) return [255, 255, 255, 255];
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return (colour[3] ?? 0) > 250 ? colour : behind(element.parentElement);
  };
  const found: string[] = [];
  for (const element of document.querySelectorAll("#root *")) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim(),
    );
    if (!own || element.closest("button:disabled") !== null) continue;
    const [high = 0, low = 0] = [
      luminance(rgba(getComputedStyle(element).color)),
      luminance(behind(element)),
    ].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`${element.textContent?.trim()} ${ratio.toFixed(2)}`);
  }
  return found;
}
