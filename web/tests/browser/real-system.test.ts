/**
 * The System page of the built app against a running server: `RUNLANE_URL=http://… RUNLANE_API_KEY=… RUNLANE_RUN=e/p/id`.
 * The run must be running and have system metrics; the test sends it more, as its client would.
 */

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium } from "../../dev/chromium";

const { RUNLANE_URL: url = "", RUNLANE_API_KEY: apiKey = "", RUNLANE_RUN: run = "" } = process.env;

const headers = {
  authorization: `Basic ${btoa(`api:${apiKey}`)}`,
  "content-type": "application/json",
};

/** Sends samples as the client of the run does. */
async function send(offset: number, rows: readonly Record<string, number>[]): Promise<void> {
  const content = rows.map((row) => JSON.stringify(row));
  const response = await fetch(`${url}/files/${run}/file_stream`, {
    method: "POST",
    headers,
    body: JSON.stringify({ files: { "wandb-events.jsonl": { offset, content } } }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}

/** How many samples the server has of the run. */
async function sampled(): Promise<number> {
  const [entity, project, name] = run.split("/");
  const query = `query R($entity: String, $project: String, $name: String!) {
    project(entityName: $entity, name: $project) { run(name: $name) { eventsLineCount } } }`;
  const body = JSON.stringify({ query, variables: { entity, project, name } });
  const response = await fetch(`${url}/graphql`, { method: "POST", headers, body });
  const answer: { data: { project: { run: { eventsLineCount: number } } } } = await response.json();
  return answer.data.project.run.eventsLineCount;
}

describe.skipIf(run === "")("the System page of a real server", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  it("draws what the run sampled, and a new device within two seconds", async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(8000);
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    const path = run.replace(/\/([^/]+)$/, "/runs/$1");
    await page.goto(`${url}/${path}/system`);
    await page.getByLabel("API key").fill(apiKey);
    await page.getByRole("button", { name: "Sign in" }).click();
    const memory = page.locator('[data-panel="Memory/memory_percent"]');
    await memory.locator("canvas").first().waitFor();
    await memory.locator(".u-over").hover({ position: { x: 100, y: 60 } });
    await expect.poll(() => memory.textContent()).toMatch(/\d%/);

    const row = (at: number) => ({
      _timestamp: 1_800_000_000 + at * 15,
      _runtime: at * 15,
      "system.gpu.0.gpu/l:far-node": 40 + at,
      "system.gpu.1.gpu/l:far-node": 20 + at,
      "system.network.sent/l:far-node": at * 15 * 2 ** 20,
    });
    const started = Date.now();
    await send(await sampled(), [0, 1, 2, 3].map(row));
    const gpu = page.locator('[data-panel="GPU/gpu"]');
    await gpu.locator("canvas").first().waitFor();
    expect(Date.now() - started).toBeLessThan(4000);
    const lines = await gpu.locator("[data-lines]").getAttribute("data-lines");
    expect(lines).toBe("system.gpu.0.gpu/l:far-node system.gpu.1.gpu/l:far-node");
    await page.getByRole("searchbox").fill("network.sent");
    const sent = page.locator('[data-panel="Network/network.sent"]');
    await sent.locator(".u-over").hover({ position: { x: 100, y: 60 } });
    await expect.poll(() => sent.textContent()).toContain("1 MiB/s");
    expect(await page.getByRole("alert").count()).toBe(0);
    expect(faults).toEqual([]);
  });
});
