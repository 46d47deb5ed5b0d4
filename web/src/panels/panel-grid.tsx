import { useQueries } from "@tanstack/react-query";
import { useCallback, useDeferredValue, useMemo, useRef } from "react";
import type { MediaKind } from "../api/media";
import { metricsQuery } from "../api/queries";
import type { ProjectPath } from "../api/runs";
import { joinNames, splitNames } from "../app/search";
import { useSearchState } from "../app/use-search-state";
import { Button, IconButton } from "../kit/button";
import { Icon } from "../kit/icon";
import { Failure, Notice } from "../kit/notice";
import { Popover } from "../kit/popover";
import { SearchField } from "../kit/search-field";
import { matcherOf } from "../model/search";
import { type MediaKey, naturalOrder, sectionsOf } from "../model/sections";
import css from "./grid.module.css";
import { GridSkeleton } from "./grid-skeleton";
import type { PanelSize } from "./layout";
import { linePanel } from "./line/line-panel";
import type { MediaRun } from "./media/media-panel";
import { MediaSlot, MediaView } from "./media/media-slot";
import { PanelDialog } from "./panel-dialog";
import { type PanelBlock, PanelSection } from "./panel-section";
import { PanelSlot } from "./panel-slot";
import { FleetSection } from "./system/fleet-section";
import type { PanelRun } from "./types";
import { useAreaWidth } from "./use-area-width";
import { usePanelSettings } from "./use-panel-settings";

interface PanelGridProps {
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  /** Whether the list of runs is still on its way. */
  readonly pending: boolean;
  readonly onShowRuns?: () => void;
  /** Whether the panel search is the page's main search. */
  readonly mainSearch?: boolean;
  /** Whether the runs' system metrics follow as the last section. */
  readonly systemMetrics?: boolean;
  /** The run whose media are shown; absent for none. */
  readonly mediaOf?: MediaRun;
}

/** Sections of panels: one line plot per numeric metric of the runs, and the media of one run. */
export function PanelGrid({
  path,
  runs,
  pending,
  onShowRuns,
  mainSearch = false,
  systemMetrics = false,
  mediaOf,
}: PanelGridProps) {
  const [search, change] = useSearchState();
  const { settings, onChange } = usePanelSettings(linePanel);
  const scroller = useRef<HTMLDivElement>(null);
  const areaWidth = useAreaWidth(scroller);
  const query = search.m ?? "";
  const deferredQuery = useDeferredValue(query);
  const metrics = useQueries({
    queries: runs.map((run) => metricsQuery({ ...path, run: run.id })),
    combine: (results) => ({
      maps: results.flatMap((result) => (result.data === undefined ? [] : [result.data])),
      pending: results.some((result) => result.isPending),
      error: results.find((result) => result.isError)?.error ?? null,
      retry: () => {
        for (const result of results) if (result.isError) void result.refetch();
      },
    }),
  });
  const withMedia = mediaOf !== undefined;
  const sections = useMemo(
    () =>
      sectionsOf(metrics.maps, matcherOf(deferredQuery).test, withMedia).map(({ name, keys, media }) => {
        const kinds = new Map(media.map(({ key, kind }) => [key, kind]));
        return { name, kinds, blocks: blocksOf(keys, media) };
      }),
    [metrics.maps, deferredQuery, withMedia],
  );
  const kindOf = (key: string) => metrics.maps.find((map) => map.get(key)?.media != null)?.get(key)?.media;
  const openKind = search.panel === undefined || !withMedia ? null : (kindOf(search.panel) ?? null);
  const closed = splitNames(search.closed);
  const toggle = (name: string) => {
    const next = closed.includes(name) ? closed.filter((other) => other !== name) : [...closed, name];
    change({ closed: next.length === 0 ? undefined : joinNames(next) });
  };
  const slotOf = useCallback(
    (kinds: ReadonlyMap<string, MediaKind>) => (key: string, size: PanelSize) => {
      const kind = kinds.get(key);
      // a key may have numbers at some steps and media at others: then it has a panel of each
      const isMedia = size !== "small" || kind === "histogram";
      return isMedia && kind !== undefined && mediaOf !== undefined ? (
        <MediaSlot key={key} of={mediaOf} metric={key} kind={kind} />
      ) : (
        <PanelSlot key={key} metric={key} path={path} runs={runs} />
      );
    },
    [path, runs, mediaOf],
  );
  const loading = pending || (metrics.pending && metrics.maps.length === 0);
  return (
    <section className={css.grid} aria-label="Charts">
      <div className={css.toolbar}>
        {onShowRuns !== undefined && (
          <Button className={css.runsButton ?? ""} onClick={onShowRuns}>
            <Icon name="runs" /> Runs
          </Button>
        )}
        <SearchField
          main={mainSearch}
          label="Search charts (regex)"
          value={query}
          onChange={(text) => change({ m: text === "" ? undefined : text })}
          invalid={matcherOf(query).invalid}
        />
        <span className={css.space} />
        {settings.zoom !== null && (
          <Button onClick={() => onChange({ zoom: null }, "push")}>
            <Icon name="resetZoom" /> Reset zoom
          </Button>
        )}
        <Popover trigger={<IconButton icon="settings" label="Chart settings" />} label="Chart settings">
          <linePanel.Settings settings={settings} onChange={onChange} />
        </Popover>
      </div>
      <div className={css.sections} ref={scroller}>
        {metrics.error !== null && (
          <Failure
            title="Metrics could not be loaded"
            error={metrics.error}
            onRetry={metrics.retry}
            compact
          />
        )}
        {loading && <GridSkeleton />}
        {!loading && sections.length === 0 && metrics.error === null && (
          <EmptyGrid runs={runs.length} query={deferredQuery} />
        )}
        {sections.map((section) => (
          <PanelSection
            key={section.name}
            name={section.name}
            blocks={section.blocks}
            closed={closed.includes(section.name)}
            onToggle={() => toggle(section.name)}
            areaWidth={areaWidth}
            slot={slotOf(section.kinds)}
          />
        ))}
        {systemMetrics && !pending && runs.length > 0 && (
          <FleetSection path={path} runs={runs} query={deferredQuery} areaWidth={areaWidth} />
        )}
      </div>
      {search.panel !== undefined && openKind !== null && mediaOf !== undefined && (
        <PanelDialog title={search.panel} onClose={() => change(CLOSED, "push")}>
          <MediaView of={mediaOf} metric={search.panel} kind={openKind} full />
        </PanelDialog>
      )}
      {search.panel !== undefined && openKind === null && !(withMedia && loading) && (
        <PanelDialog
          title={search.panel}
          onClose={() => change({ panel: undefined }, "push")}
          aside={<linePanel.Settings settings={settings} onChange={onChange} />}
        >
          <linePanel.Panel
            path={path}
            runs={runs}
            metric={search.panel}
            settings={settings}
            onChange={onChange}
          />
        </PanelDialog>
      )}
    </section>
  );
}

/** What belongs to the panel in full screen goes with it. */
const CLOSED = { panel: undefined, image: undefined, order: undefined, rows: undefined };

/** Charts first, then media, then tables, which are as wide as the page. */
function blocksOf(keys: readonly string[], media: readonly MediaKey[]): PanelBlock[] {
  const of = (...kinds: MediaKind[]) =>
    media.filter(({ kind }) => kinds.includes(kind)).map(({ key }) => key);
  const blocks: PanelBlock[] = [
    { size: "small", panels: [...new Set([...keys, ...of("histogram")])].sort(naturalOrder) },
    { size: "medium", panels: of("images", "video", "audio", "html", "file") },
    { size: "wide", panels: of("table") },
  ];
  return blocks.filter(({ panels }) => panels.length > 0);
}

function EmptyGrid({ runs, query }: { readonly runs: number; readonly query: string }) {
  if (runs === 0) {
    return (
      <Notice title="No run is shown">
        Press the eye of a run in the list, or change the search, to draw curves.
      </Notice>
    );
  }
  if (query !== "") return <Notice title="No chart matches">No metric’s name matches “{query}”.</Notice>;
  return (
    <Notice title="Nothing logged yet" code={'run.log({"loss": loss, "accuracy": accuracy})'}>
      Every number that a run logs gets a chart here, within two seconds.
    </Notice>
  );
}
