import { expect, it } from "vitest";
import { batched } from "./batch";

function recorder(limit: number) {
  const calls: { readonly requests: readonly string[]; readonly signal: AbortSignal }[] = [];
  const load = batched<string, string>({
    group: (request) => request.slice(0, 1),
    limit,
    load: async (requests, signal) => {
      calls.push({ requests, signal });
      if (requests.includes("b-fails")) throw new Error("broken");
      return requests.map((request) => request.toUpperCase());
    },
  });
  return { calls, load };
}

const never = () => new AbortController().signal;

it("joins requests of one group and answers each its own", async () => {
  const { calls, load } = recorder(10);
  const answers = await Promise.all(["a1", "b1", "a2"].map((request) => load(request, never())));
  expect(answers).toEqual(["A1", "B1", "A2"]);
  expect(calls.map((call) => call.requests)).toEqual([["a1", "a2"], ["b1"]]);
});

it("splits large groups", async () => {
  const { calls, load } = recorder(2);
  await Promise.all(["a1", "a2", "a3"].map((request) => load(request, never())));
  expect(calls.map((call) => call.requests.length)).toEqual([2, 1]);
});

it("fails only the requests of the broken round trip", async () => {
  const { load } = recorder(10);
  const results = await Promise.allSettled([load("b-fails", never()), load("a1", never())]);
  expect(results.map((result) => result.status)).toEqual(["rejected", "fulfilled"]);
});

it("leaves out what was cancelled before the round trip, and cancels when nobody waits", async () => {
  const { calls, load } = recorder(10);
  const [gone, first, second] = [new AbortController(), new AbortController(), new AbortController()];
  const waits = [load("a1", gone.signal), load("a2", first.signal), load("a3", second.signal)];
  gone.abort(new Error("gone"));
  await expect(waits[0]).rejects.toThrow("gone");
  await Promise.all(waits.slice(1));
  expect(calls[0]?.requests).toEqual(["a2", "a3"]);
  first.abort();
  expect(calls[0]?.signal.aborted).toBe(false);
  second.abort();
  expect(calls[0]?.signal.aborted).toBe(true);
});
