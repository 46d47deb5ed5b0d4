import { expect, it } from "vitest";
import { quietSince } from "./activity";

const AT = Date.parse("2026-01-05T09:00:00Z");
const heartbeatAt = "2026-01-05T09:00:00";

it.each([
  ["running", null, 60_000, null],
  ["running", null, 180_000, AT],
  ["preempting", null, 180_000, AT],
  ["crashed", null, 1000, AT],
  ["crashed", 255, 1000, null],
  ["finished", 0, 9e9, null],
])("%s with exit code %s, silent for %d ms", (state, exitCode, silent, since) => {
  expect(quietSince({ state, exitCode, heartbeatAt }, AT + silent)).toBe(since);
});

it("knows nothing of a run that was never heard of", () => {
  expect(quietSince({ state: "running", exitCode: null, heartbeatAt: null }, AT)).toBeNull();
});
