import { Link } from "@tanstack/react-router";
import type { RecentRun } from "../../api/runs";
import { useTheme } from "../../app/theme";
import { useNow } from "../../app/use-now";
import { moveByArrows } from "../../kit/arrow-keys";
import { RunState } from "../../kit/run-state";
import { runColour } from "../../model/colour";
import { formatAgo, formatCount, formatDuration } from "../../model/format";
import css from "./home.module.css";

/** Runs of any project, one a row. */
export function RunTable({ runs }: { readonly runs: readonly RecentRun[] }) {
  const theme = useTheme();
  const now = useNow();
  return (
    <table className={css.table}>
      <thead>
        <tr>
          <th>Run</th>
          <th>Project</th>
          <th>State</th>
          <th className={css.number}>Rows</th>
          <th className={css.number}>Runtime</th>
          <th className={css.number}>Started</th>
        </tr>
      </thead>
      <tbody onKeyDown={moveByArrows}>
        {runs.map(({ entity, project, name, displayName, state, ...run }) => (
          <tr key={`${entity}/${project}/${name}`}>
            <td className={css.name}>
              <i style={{ background: runColour(name, theme) }} />
              <Link to="/$entity/$project/runs/$run" params={{ entity, project, run: name }} title={name}>
                {displayName}
              </Link>
            </td>
            <td>
              <Link to="/$entity/$project" params={{ entity, project }}>
                {project}
              </Link>
            </td>
            <td>
              <RunState state={state} />
            </td>
            <td className={css.number}>{formatCount(run.historyLineCount)}</td>
            <td className={css.number}>
              {run.runtimeSeconds === null ? "–" : formatDuration(Math.round(run.runtimeSeconds))}
            </td>
            <td className={css.number} title={run.createdAt}>
              {formatAgo(run.createdAt, now)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
