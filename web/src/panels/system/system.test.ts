import { describe, expect, it } from "vitest";
import { PALETTE } from "../../model/colour";
import { type SystemPanel, systemSectionsOf } from "../../model/system-sections";
import { commonPrefix } from "./names";
import { deviceSources, fleetSources } from "./sources";

const PATH = { entity: "e", project: "p" };

function panelOf(keys: readonly string[], combined = false): SystemPanel {
  const options = { search: () => true, host: null, totals: false, combined };
  const [panel] = systemSectionsOf(keys, options)[0]?.panels ?? [];
  if (panel === undefined) throw new Error("no panel");
  return panel;
}

const gpus = (count: number) => Array.from({ length: count }, (_, at) => `system.gpu.${at}.gpu`);

describe("deviceSources", () => {
  it("gives devices their colours and processes dots", () => {
    const panel = panelOf([...gpus(10), "system.gpu.process.1.gpu"]);
    const sources = deviceSources(PATH, "r", panel, "light");
    const look = (name: string) => {
      const source = sources.find((each) => each.name === name);
      return [source?.colour, source?.dash];
    };
    expect(look("GPU 1")).toEqual([PALETTE.light[1], []]);
    expect(look("GPU 9")).toEqual([PALETTE.light[1], [7, 4]]);
    expect(look("GPU 1 · process")).toEqual([PALETTE.light[1], [2, 3]]);
    expect(sources[0]?.series).toEqual({
      ...PATH,
      run: "r",
      key: "system.gpu.0.gpu",
      stream: "events",
      rate: false,
    });
  });

  it("asks for rates of counters, and for no more lines than can be loaded", () => {
    const [sent] = deviceSources(PATH, "r", panelOf(["system.network.sent"]), "dark");
    expect(sent?.series.rate).toBe(true);
    expect(deviceSources(PATH, "r", panelOf(gpus(300)), "dark")).toHaveLength(256);
  });
});

describe("fleetSources", () => {
  it("draws what each run has sampled, in the run's colour, and names the device where there are several", () => {
    const runs = ["a", "b"].map((id) => ({ id, name: `run ${id}`, createdAt: "" }));
    const sampled = new Map([
      ["a", new Set(gpus(2))],
      ["b", new Set(gpus(1))],
    ]);
    const sources = fleetSources(PATH, runs, sampled, panelOf(gpus(2), true), "light");
    expect(sources.map(({ name, group }) => [name, group])).toEqual([
      ["run a · GPU 0", "a"],
      ["run a · GPU 1", "a"],
      ["run b · GPU 0", "b"],
    ]);
    expect(new Set(sources.map(({ id }) => id)).size).toBe(3);
    const one = fleetSources(PATH, runs, sampled, panelOf(gpus(1), true), "light");
    expect(one.map(({ name }) => name)).toEqual(["run a", "run b"]);
  });
});

it("says the words that all names begin with once", () => {
  expect(commonPrefix(["GPU 0", "GPU 10"])).toBe("GPU ");
  expect(commonPrefix(["GPU 0", "IPU 0"])).toBe("");
  expect(commonPrefix(["GPU 0"])).toBe("");
  expect(commonPrefix(["nvme0n1", "sda"])).toBe("");
  expect(commonPrefix([])).toBe("");
});
