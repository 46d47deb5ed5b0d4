import { useMutation, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useDeferredValue } from "react";
import { fetchWholeLog } from "../../api/logs";
import { runQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { useSearchState } from "../../app/use-search-state";
import { Button } from "../../kit/button";
import { Icon } from "../../kit/icon";
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
        <LogDownload path={path} />
      </div>
      <LogBody logs={logs} query={deferred} running={run.data?.state === "running"} />
    </section>
  );
}

/** Saves the log as a file; says so when that failed. */
function LogDownload({ path }: { readonly path: RunPath }) {
  const download = useMutation({
    mutationFn: async () => {
      const url = URL.createObjectURL(await fetchWholeLog(path, new AbortController().signal));
      const link = document.createElement("a");
      link.href = url;
      link.download = `${path.run}-output.log`;
      link.click();
      URL.revokeObjectURL(url);
    },
  });
  return (
    <>
      {download.isError && (
        <span className={css.failed} role="alert">
          Download failed: {download.error.message}
        </span>
      )}
      <Button onClick={() => download.mutate()} disabled={download.isPending}>
        <Icon name="download" /> {download.isPending ? "Preparing…" : "Download"}
      </Button>
    </>
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
