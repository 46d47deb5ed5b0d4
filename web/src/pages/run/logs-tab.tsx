import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useDeferredValue } from "react";
import { fileUrl } from "../../api/files";
import { runQuery } from "../../api/queries";
import { useSearchState } from "../../app/use-search-state";
import { Icon } from "../../kit/icon";
import kit from "../../kit/kit.module.css";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { SearchField } from "../../kit/search-field";
import { formatCount } from "../../model/format";
import { MAX_SEARCHED_LINES } from "../../model/log";
import { matcherOf } from "../../model/search";
import { LogList } from "./log-list";
import css from "./logs.module.css";
import { type Logs, useLogs } from "./use-logs";

export function RunLogs() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const [search, change] = useSearchState();
  const run = useQuery(runQuery(path));
  const query = search.q ?? "";
  const deferred = useDeferredValue(query);
  const logs = useLogs(path, run.data?.logLineCount ?? 0, deferred === "" ? null : matcherOf(deferred));
  return (
    <section className={css.logs} aria-label="Console log">
      <div className={css.toolbar}>
        <SearchField
          main
          label="Search lines (regex)"
          value={query}
          onChange={(text) => change({ q: text === "" ? undefined : text })}
          invalid={matcherOf(query).invalid}
        />
        <span className={css.count} role="status">
          {countText(logs, deferred)}
        </span>
        <a className={kit.button} href={fileUrl(path, "output.log", true)} download>
          <Icon name="download" /> Download
        </a>
      </div>
      <LogBody logs={logs} query={deferred} running={run.data?.state === "running"} />
    </section>
  );
}

interface LogBodyProps {
  readonly logs: Logs;
  readonly query: string;
  readonly running: boolean;
}

function LogBody({ logs, query, running }: LogBodyProps) {
  if (logs.error !== null && logs.total === 0) {
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
  if (logs.count === 0 && !logs.searching)
    return <Notice title="No line matches">“{query}” is in no line.</Notice>;
  return (
    <>
      {logs.error !== null && (
        <Failure compact title="Some lines could not be loaded" error={logs.error} onRetry={logs.retry} />
      )}
      <LogList logs={logs} follow={running && query === ""} />
    </>
  );
}

function countText(logs: Logs, query: string): string {
  if (logs.pending) return "";
  if (query === "") return `${formatCount(logs.total)} lines`;
  const limit =
    logs.total > MAX_SEARCHED_LINES ? ` in the first ${formatCount(MAX_SEARCHED_LINES)} lines` : "";
  return `${formatCount(logs.count)} of ${formatCount(logs.total)} lines${limit}${logs.searching ? ", searching…" : ""}`;
}
