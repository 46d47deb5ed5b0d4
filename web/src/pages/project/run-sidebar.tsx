import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import type { RunRow } from "../../api/runs";
import { useTheme } from "../../app/theme";
import { moveByArrows } from "../../kit/arrow-keys";
import { IconButton } from "../../kit/button";
import { Failure, Skeleton } from "../../kit/notice";
import { RunState } from "../../kit/run-state";
import { RunSwatch } from "../../kit/run-swatch";
import { SearchField } from "../../kit/search-field";
import { dashesOf, runColour } from "../../model/colour";
import { formatCount } from "../../model/format";
import { hoveredGroup } from "../../model/hover";
import { matcherOf } from "../../model/search";
import { MAX_DRAWN, readSort, SORTS } from "../../model/selection";
import { useStore } from "../../model/store";
import css from "./sidebar.module.css";
import type { Workspace } from "./use-workspace";

const ROW_PIXELS = 32;
const SOLID: readonly number[] = [];

interface RunSidebarProps {
  readonly workspace: Workspace;
  readonly onClose: () => void;
}

/** List of runs: search, sort, and an eye per run. */
export function RunSidebar({ workspace, onClose }: RunSidebarProps) {
  const { runs, listed, drawn, query, sort } = workspace;
  return (
    <aside className={css.sidebar} aria-label="Runs">
      <div className={css.head}>
        <SearchField
          main
          label="Search runs (regex)"
          value={query}
          onChange={workspace.setQuery}
          invalid={matcherOf(query).invalid}
        />
        <IconButton
          icon="close"
          label="Close the list of runs"
          className={css.close ?? ""}
          onClick={onClose}
        />
      </div>
      <div className={css.tools}>
        <span role="status">{countText(workspace)}</span>
        <select
          aria-label="Sort runs"
          value={sort}
          onChange={(event) => workspace.setSort(readSort(event.target.value))}
        >
          {SORTS.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
        {drawn.length > 0 ? (
          <IconButton icon="eye" label="Hide all runs" onClick={() => workspace.choose([])} />
        ) : (
          <IconButton
            icon="eyeOff"
            label={`Show the first ${Math.min(MAX_DRAWN, listed.length)} runs`}
            onClick={() => workspace.choose(listed.slice(0, MAX_DRAWN).map((row) => row.name))}
          />
        )}
      </div>
      {runs.pending ? <SidebarSkeleton /> : <RunList workspace={workspace} />}
      {runs.error !== null && !runs.pending && (
        <Failure compact title="The list is not complete" error={runs.error} onRetry={runs.retry} />
      )}
    </aside>
  );
}

function countText({ runs, listed, drawn, query }: Workspace): string {
  if (runs.pending) return "Loading…";
  const noun = runs.total === 1 ? "run" : "runs";
  const found =
    query === "" ? formatCount(runs.total) : `${formatCount(listed.length)} of ${formatCount(runs.total)}`;
  return `${found} ${noun} · ${drawn.length} shown`;
}

function RunList({ workspace }: { readonly workspace: Workspace }) {
  const { listed, drawn, path } = workspace;
  const scroller = useRef<HTMLDivElement>(null);
  const dashes = dashesOf(drawn.map((row) => row.name));
  const virtual = useVirtualizer({
    count: listed.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 12,
    getItemKey: (index) => listed[index]?.name ?? index,
  });
  if (listed.length === 0) {
    return <p className={css.none}>No run matches “{workspace.query}”.</p>;
  }
  return (
    <div ref={scroller} className={css.list}>
      <ul style={{ height: virtual.getTotalSize() }} onKeyDown={moveByArrows}>
        {virtual.getVirtualItems().map((item) => {
          const row = listed[item.index];
          if (row === undefined) return null;
          return (
            <RunItem
              key={item.key}
              row={row}
              top={item.start}
              shown={dashes.has(row.name)}
              dash={dashes.get(row.name) ?? SOLID}
              entity={path.entity}
              project={path.project}
              onToggle={(alone) => (alone ? workspace.isolate(row.name) : workspace.toggle(row.name))}
            />
          );
        })}
      </ul>
    </div>
  );
}

interface RunItemProps {
  readonly row: RunRow;
  readonly top: number;
  readonly shown: boolean;
  readonly dash: readonly number[];
  readonly entity: string;
  readonly project: string;
  readonly onToggle: (alone: boolean) => void;
}

function RunItem({ row, top, shown, dash, entity, project, onToggle }: RunItemProps) {
  const theme = useTheme();
  const hovered = useStore(hoveredGroup) === row.name;
  return (
    <li
      className={css.item}
      data-hovered={hovered}
      data-shown={shown}
      style={{ transform: `translateY(${top}px)` }}
      onPointerEnter={() => hoveredGroup.set(row.name)}
      onPointerLeave={() => hoveredGroup.set(null)}
    >
      <IconButton
        icon={shown ? "eye" : "eyeOff"}
        label={`${shown ? "Hide" : "Show"} ${row.displayName}`}
        aria-pressed={shown}
        onClick={(event) => onToggle(event.altKey)}
      />
      <RunSwatch colour={runColour(row.name, theme)} dash={dash} drawn={shown} />
      <Link
        to="/$entity/$project/runs/$run"
        params={{ entity, project, run: row.name }}
        title={`${row.displayName} (${row.name})`}
      >
        {row.displayName}
      </Link>
      <RunState state={row.state} short />
    </li>
  );
}

function SidebarSkeleton() {
  return (
    <div className={css.skeleton}>
      {[62, 48, 71, 55, 66, 44, 58, 69].map((width) => (
        <Skeleton key={width} width={`${width}%`} />
      ))}
    </div>
  );
}
