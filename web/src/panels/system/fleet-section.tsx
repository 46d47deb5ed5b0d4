import { useQueries } from "@tanstack/react-query";
import { memo, useCallback, useMemo } from "react";
import { systemKeysQuery } from "../../api/queries";
import type { ProjectPath } from "../../api/runs";
import { useTheme } from "../../app/theme";
import { useSearchState } from "../../app/use-search-state";
import { Failure, Notice } from "../../kit/notice";
import { matcherOf } from "../../model/search";
import { type SystemPanel, systemSectionsOf } from "../../model/system-sections";
import { GridSkeleton } from "../grid-skeleton";
import { linePanel } from "../line/line-panel";
import { SeriesPlot } from "../line/series-plot";
import { PanelDialog } from "../panel-dialog";
import { PanelFrame } from "../panel-frame";
import { PanelSection } from "../panel-section";
import type { PanelRun } from "../types";
import { usePanelSettings } from "../use-panel-settings";
import { fleetSources } from "./sources";
import { useTimeAxis } from "./use-time-axis";

interface FleetSectionProps {
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  readonly query: string;
  /** Of the scrolled area. */
  readonly areaWidth: number;
}

const OPEN = "open";

type Sampled = ReadonlyMap<string, ReadonlySet<string>>;

/** System metrics of several runs, closed until somebody asks for them. */
export function FleetSection({ path, runs, query, areaWidth }: FleetSectionProps) {
  const [search, change] = useSearchState();
  const { settings, onChange } = usePanelSettings(linePanel);
  const open = search.system !== undefined;
  const keys = useQueries({
    queries: runs.map((run) => ({ ...systemKeysQuery({ ...path, run: run.id }), enabled: open })),
    combine: (results) => ({
      sampled: new Map(runs.map((run, at) => [run.id, new Set(results[at]?.data ?? [])])),
      pending: results.some((result) => result.isLoading),
      error: results.find((result) => result.isError)?.error ?? null,
      retry: () => {
        for (const result of results) if (result.isError) void result.refetch();
      },
    }),
  });
  const { sampled } = keys;
  const panels = useMemo(() => {
    const all = [...new Set([...sampled.values()].flatMap((own) => [...own]))];
    const options = { search: matcherOf(query).test, host: null, totals: false, combined: true };
    const sections = systemSectionsOf(all, options);
    return new Map(sections.flatMap((section) => section.panels.map((panel) => [panel.id, panel])));
  }, [sampled, query]);
  const slot = useCallback(
    (id: string) => {
      const panel = panels.get(id);
      return panel === undefined ? null : (
        <FleetSlot key={id} panel={panel} path={path} runs={runs} sampled={sampled} />
      );
    },
    [panels, path, runs, sampled],
  );
  const blocks = useMemo(() => [{ size: "small" as const, panels: [...panels.keys()] }], [panels]);
  const shown = search.system === undefined ? undefined : panels.get(search.system);
  return (
    <>
      <PanelSection
        name="System"
        blocks={blocks}
        closed={!open}
        onToggle={() => change({ system: open ? undefined : OPEN })}
        areaWidth={areaWidth}
        slot={slot}
      />
      {open && keys.pending && panels.size === 0 && <GridSkeleton />}
      {open && keys.error !== null && (
        <Failure compact title="System metrics could not be loaded" error={keys.error} onRetry={keys.retry} />
      )}
      {open && !keys.pending && keys.error === null && panels.size === 0 && (
        <Notice compact title={query === "" ? "No system metrics" : "No system metric matches"}>
          {query === "" ? "None of the runs shown has sent any." : `None has “${query}” in its name.`}
        </Notice>
      )}
      {shown !== undefined && (
        <PanelDialog
          title={titleOf(shown)}
          onClose={() => change({ system: OPEN }, "push")}
          aside={<linePanel.Settings settings={settings} onChange={onChange} />}
        >
          <FleetPanel panel={shown} path={path} runs={runs} sampled={sampled} />
        </PanelDialog>
      )}
    </>
  );
}

interface FleetPanelProps {
  readonly panel: SystemPanel;
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  readonly sampled: Sampled;
}

const FleetSlot = memo(function FleetSlot(props: FleetPanelProps) {
  const [, change] = useSearchState();
  const { panel } = props;
  return (
    <PanelFrame
      id={panel.id}
      title={titleOf(panel)}
      note={panel.note}
      onOpen={() => change({ system: panel.id }, "push")}
    >
      <FleetPanel {...props} />
    </PanelFrame>
  );
});

function FleetPanel({ panel, path, runs, sampled }: FleetPanelProps) {
  const theme = useTheme();
  const { settings, onZoom } = useTimeAxis(path, runs[0]?.id ?? null);
  const sources = useMemo(
    () => fleetSources(path, runs, sampled, panel, theme),
    [path, runs, sampled, panel, theme],
  );
  return (
    <SeriesPlot
      sources={sources}
      settings={settings}
      measure={panel.measure}
      syncKey={`${path.entity}/${path.project} ${settings.xAxis}`}
      empty="The runs shown have not sent it."
      onZoom={onZoom}
    />
  );
}

/** Outside their sections, titles need the family. */
function titleOf({ id, title }: SystemPanel): string {
  const family = id.slice(0, id.indexOf("/"));
  return title.startsWith(family) ? title : `${family} · ${title}`;
}
