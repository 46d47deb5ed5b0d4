import type { ProjectPath } from "../../api/runs";
import { dashesOf, paletteColour, runColour, type Theme } from "../../model/colour";
import type { SystemLine, SystemPanel } from "../../model/system-sections";
import type { LineSource } from "../line/sources";
import type { PanelRun } from "../types";

const SOLID: readonly number[] = [];
const PROCESS: readonly number[] = [2, 3];
/** Devices beyond the palette share its colours. */
const SECOND: readonly number[] = [7, 4];
/** Most lines of one panel: each is a series to load. */
const MAX_LINES = 256;

/** How the lines of one run look: a colour per device, dots for the process. */
export function lineLook(line: SystemLine, theme: Theme): Pick<LineSource, "colour" | "dash"> {
  const { colour, round } = paletteColour(line.place, theme);
  return { colour, dash: line.process ? PROCESS : round === 0 ? SOLID : SECOND };
}

/** The lines of one panel for one run. */
export function deviceSources(
  { entity, project }: ProjectPath,
  run: string,
  panel: SystemPanel,
  theme: Theme,
): LineSource[] {
  return panel.lines.slice(0, MAX_LINES).map((line) => ({
    id: line.key,
    group: line.group,
    name: line.name,
    ...lineLook(line, theme),
    series: { entity, project, run, key: line.key, stream: "events", rate: panel.counter },
  }));
}

/** The lines of one panel for several runs, each run in its colour and dash, however many devices it has. */
export function fleetSources(
  { entity, project }: ProjectPath,
  runs: readonly PanelRun[],
  sampled: ReadonlyMap<string, ReadonlySet<string>>,
  panel: SystemPanel,
  theme: Theme,
): LineSource[] {
  const dashes = dashesOf(runs.map((run) => run.id));
  const one = panel.lines.length === 1;
  const sources = runs.flatMap((run) =>
    panel.lines
      .filter((line) => sampled.get(run.id)?.has(line.key) === true)
      .map((line): LineSource => {
        return {
          id: JSON.stringify([run.id, line.key]),
          group: run.id,
          name: one ? run.name : `${run.name} · ${line.name}`,
          colour: runColour(run.id, theme),
          dash: dashes.get(run.id) ?? SOLID,
          series: { entity, project, run: run.id, key: line.key, stream: "events", rate: panel.counter },
        };
      }),
  );
  return sources.slice(0, MAX_LINES);
}
