import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useDeferredValue } from "react";
import type { LogFilter } from "../../../api/logs";
import { runQuery } from "../../../api/queries";
import { useSearchState } from "../../../app/use-search-state";
import { Failure, Notice, Skeleton } from "../../../kit/notice";
import { parseTime } from "../../../model/format";
import { LogList } from "./log-list";
import css from "./logs.module.css";
import { LogsToolbar } from "./logs-toolbar";
import { type Logs, useLogSearch, useLogs } from "./use-logs";

export function RunLogs() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const [search, change] = useSearchState();
  const run = useQuery(runQuery(path));
  const total = run.data?.logLineCount ?? 0;
  const query = useDeferredValue(search.q ?? "");
  const filtered = query !== "" || search.label !== undefined || search.level !== undefined;
  const filter: LogFilter = { search: query, label: search.label, level: search.level };
  const whole = useLogs({ path, writer: null }, total);
  // lines of several hosts have numbers of their own: one host is shown at a time
  const several = whole.writers.length > 1;
  const chosen = several ? Math.min(Number(search.writer ?? 0) || 0, whole.writers.length - 1) : null;
  const source = { path, writer: chosen };
  const length = chosen === null ? total : (whole.writers[chosen]?.total ?? 0);
  const one = useLogs(source, length);
  const found = useLogSearch(source, filtered ? filter : null, length);
  const browsed = { ...one, writers: whole.writers };
  const logs = filtered ? { ...found, writers: whole.writers } : browsed;
  const first = browsed.first?.timestamp ?? run.data?.createdAt ?? null;
  return (
    <section className={css.logs} aria-label="Console log">
      <LogsToolbar
        source={source}
        logs={logs}
        labels={browsed.labels}
        filtered={filtered}
        search={search}
        change={change}
      />
      <LogBody
        // another list starts at its own end
        key={`${chosen} ${filtered}`}
        logs={logs}
        what={query}
        filtered={filtered}
        running={run.data?.state === "running"}
        wrap={search.lines === "wrap"}
        since={search.time === "elapsed" && first !== null ? parseTime(first) : null}
      />
    </section>
  );
}

interface LogBodyProps {
  readonly logs: Logs;
  readonly what: string;
  readonly filtered: boolean;
  readonly running: boolean;
  readonly wrap: boolean;
  readonly since: number | null;
}

function LogBody({ logs, what, filtered, running, wrap, since }: LogBodyProps) {
  if (logs.error !== null && logs.count === 0) {
    return <Failure title="The log could not be loaded" error={logs.error} onRetry={logs.retry} />;
  }
  if (logs.pending) {
    return (
      <div className={css.skeleton}>
        {[52, 71, 38, 64, 45, 80, 57].map((width) => (
          <Skeleton key={width} width={`${width}%`} />
        ))}
      </div>
    );
  }
  if (logs.total === 0) {
    return (
      <Notice title="No console output" code={'print("epoch", epoch, "loss", loss)'}>
        {running
          ? "What the process prints shows up here, line by line."
          : "The process printed nothing, or its console was not captured."}
      </Notice>
    );
  }
  if (logs.count === 0 && filtered && !logs.searching) {
    return (
      <Notice title="No line matches">
        {what === "" ? "No line has what is asked for." : `“${what}” is in no line.`}
      </Notice>
    );
  }
  return (
    <>
      {logs.error !== null && (
        <Failure compact title="Some lines could not be loaded" error={logs.error} onRetry={logs.retry} />
      )}
      <LogList logs={logs} follow={running && !filtered} wrap={wrap} since={since} />
    </>
  );
}
