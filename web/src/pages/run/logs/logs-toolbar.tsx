import { useMutation } from "@tanstack/react-query";
import { fetchWholeLog, type LogSource } from "../../../api/logs";
import type { Search } from "../../../app/search";
import type { SearchChange } from "../../../app/use-search-state";
import { Button } from "../../../kit/button";
import { Icon } from "../../../kit/icon";
import { SearchField } from "../../../kit/search-field";
import { formatCount } from "../../../model/format";
import { matcherOf } from "../../../model/search";
import css from "./logs.module.css";
import type { Logs } from "./use-logs";

interface LogsToolbarProps {
  readonly source: LogSource;
  readonly logs: Logs;
  readonly labels: readonly string[];
  readonly filtered: boolean;
  readonly search: Search;
  readonly change: SearchChange;
}

export function LogsToolbar({ source, logs, labels, filtered, search, change }: LogsToolbarProps) {
  const query = search.q ?? "";
  const set = (name: "label" | "level" | "writer" | "lines" | "time", value: string) =>
    change({ [name]: value === "" ? undefined : value });
  return (
    <div className={css.toolbar}>
      <SearchField
        main
        label="Search lines (regex)"
        value={query}
        onChange={(text) => change({ q: text === "" ? undefined : text })}
        invalid={matcherOf(query).invalid}
      />
      <span className={css.count} role="status">
        {countText(logs, filtered)}
      </span>
      {logs.writers.length > 1 && (
        <select
          aria-label="Process"
          value={search.writer ?? "0"}
          onChange={(event) => set("writer", event.target.value === "0" ? "" : event.target.value)}
        >
          {logs.writers.map((writer, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a process is known by its place
            <option key={index} value={String(index)}>
              {writer.label ?? `Process ${index + 1}`}
            </option>
          ))}
        </select>
      )}
      {(labels.length > 1 || search.label !== undefined) && (
        <select
          aria-label="Label"
          value={search.label ?? ""}
          onChange={(event) => set("label", event.target.value)}
        >
          <option value="">All processes</option>
          {[...new Set([...labels, search.label ?? ""])].filter(Boolean).map((label) => (
            <option key={label} value={label}>
              {label}
            </option>
          ))}
        </select>
      )}
      <Toggle
        on={search.level === "error"}
        name="stderr"
        title="Only what was written to standard error"
        onChange={(on) => set("level", on ? "error" : "")}
      />
      <Toggle
        on={search.time === "elapsed"}
        name="Elapsed"
        title="Times since the first line instead of the time of day"
        onChange={(on) => set("time", on ? "elapsed" : "")}
      />
      <Toggle
        on={search.lines === "wrap"}
        name="Wrap"
        title="Break long lines"
        onChange={(on) => set("lines", on ? "wrap" : "")}
      />
      <LogDownload source={source} />
    </div>
  );
}

interface ToggleProps {
  readonly on: boolean;
  readonly name: string;
  readonly title: string;
  readonly onChange: (on: boolean) => void;
}

function Toggle({ on, name, title, onChange }: ToggleProps) {
  return (
    <button
      type="button"
      className={css.toggle}
      aria-pressed={on}
      title={title}
      onClick={() => onChange(!on)}
    >
      {name}
    </button>
  );
}

/** Saves the log as a file; says so when that failed. */
function LogDownload({ source }: { readonly source: LogSource }) {
  const download = useMutation({
    mutationFn: async () => {
      const url = URL.createObjectURL(await fetchWholeLog(source, new AbortController().signal));
      const link = document.createElement("a");
      link.href = url;
      link.download = `${source.path.run}-output.log`;
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

function countText(logs: Logs, filtered: boolean): string {
  if (logs.pending) return "";
  if (!filtered) return `${formatCount(logs.total)} ${logs.total === 1 ? "line" : "lines"}`;
  const more = logs.searching ? ", searching…" : logs.paused ? ", more further down" : "";
  return `${formatCount(logs.count)} of ${formatCount(logs.total)} lines${more}`;
}
