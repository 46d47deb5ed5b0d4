import type { ProjectPath } from "../../api/runs";
import { dashesOf, runColour, type Theme } from "../../model/colour";
import type { PanelRun } from "../types";
import type { LineSource } from "./sources";

/** One metric of all runs, a line each. */
export function runSources(
  { entity, project }: ProjectPath,
  runs: readonly PanelRun[],
  metric: string,
  theme: Theme,
): LineSource[] {
  // dashes depend on all runs of the view, so that they agree between panels
  const dashes = dashesOf(runs.map((run) => run.id));
  return runs.map(({ id, name }) => ({
    id,
    group: id,
    name,
    colour: runColour(id, theme),
    dash: dashes.get(id) ?? [],
    series: { entity, project, run: id, key: metric, stream: "history", rate: false },
  }));
}
