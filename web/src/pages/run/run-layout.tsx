import { useQuery } from "@tanstack/react-query";
import { Outlet, useParams } from "@tanstack/react-router";
import { runQuery } from "../../api/queries";
import type { RunDetail } from "../../api/runs";
import { useTheme } from "../../app/theme";
import { useNow } from "../../app/use-now";
import { Failure, Skeleton } from "../../kit/notice";
import { PageTitle } from "../../kit/page-title";
import { RunState } from "../../kit/run-state";
import { runColour } from "../../model/colour";
import { formatAgo, formatCount, formatDuration } from "../../model/format";
import { NotFoundPage } from "../not-found/not-found-page";
import { LostRows } from "./lost-rows";
import css from "./run.module.css";
import { RunTabs, type TabCounts } from "./run-tabs";
import { StopRun } from "./stop-run";

export function RunLayout() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const theme = useTheme();
  const now = useNow();
  const run = useQuery(runQuery(path));
  if (run.data === null) return <NotFoundPage />;
  if (run.data === undefined && run.isError) {
    return (
      <Failure title="The run could not be loaded" error={run.error} onRetry={() => void run.refetch()} />
    );
  }
  const { data } = run;
  return (
    <div className={css.layout}>
      <PageTitle of={`${data?.displayName ?? path.run} · ${path.project}`} />
      <header className={css.header}>
        <div className={css.title}>
          <i style={{ background: runColour(path.run, theme) }} />
          {data === undefined ? <Skeleton width={180} height={20} /> : <h1>{data.displayName}</h1>}
          {data !== undefined && (
            <p>
              <RunState state={data.state} />
              <span>{formatCount(data.historyLineCount)} rows</span>
              {data.runtimeSeconds !== null && <span>{formatDuration(Math.round(data.runtimeSeconds))}</span>}
              <span>started {formatAgo(data.createdAt, now)}</span>
            </p>
          )}
          {data !== undefined && <StopRun path={path} run={data} />}
        </div>
        <LostRows path={path} count={data?.lostRows ?? 0} />
        <RunTabs path={path} counts={data === undefined ? {} : countsOf(data)} />
      </header>
      <div className={css.body}>
        <Outlet />
      </div>
    </div>
  );
}

function countsOf(run: RunDetail): TabCounts {
  return {
    Overview: [run.alertCount, "Alerts"],
    Logs: [run.logLineCount, "Lines"],
    Files: [run.fileCount, "Files"],
    Artifacts: [run.artifactCount, "Versions logged and used"],
  };
}
