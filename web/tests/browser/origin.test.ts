import { describe, expect, it } from "vitest";
import { open, setUpBrowser } from "./harness";

setUpBrowser();

describe("a run that was rewound", () => {
  it("links to what it had before, and names its present state", async () => {
    const { page } = await open("/ada/two-nodes/runs/one-gpu/overview");
    const link = page.getByRole("link", { name: "one-gpu:0@40" });
    await link.waitFor();
    expect(await link.getAttribute("href")).toContain("/ada/two-nodes/runs/one-gpu");
    expect(await page.getByText("Rewound from").count()).toBe(1);
    expect(await page.getByRole("button", { name: "Copy immutable id" }).count()).toBe(1);
  });
});
