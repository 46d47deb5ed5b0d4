import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { type ReactNode, useCallback, useDeferredValue, useMemo, useRef } from "react";
import { runQuery, systemKeysQuery } from "../../../api/queries";
import { joinNames, splitNames } from "../../../app/search";
import { useSearchState } from "../../../app/use-search-state";
import { Failure, Notice } from "../../../kit/notice";
import { matcherOf } from "../../../model/search";
import {
  hostsOf,
  type SystemPanel,
  type SystemSection,
  systemSectionsOf,
} from "../../../model/system-sections";
import { GridSkeleton } from "../../../panels/grid-skeleton";
import { columnsIn } from "../../../panels/layout";
import { PanelDialog } from "../../../panels/panel-dialog";
import { PanelSection } from "../../../panels/panel-section";
import { DevicePanel } from "../../../panels/system/device-panel";
import { useTimeAxis } from "../../../panels/system/use-time-axis";
import { useAreaWidth } from "../../../panels/use-area-width";
import { QuietNote } from "./quiet-note";
import css from "./system.module.css";
import { SystemSlot } from "./system-slot";
import { SystemToolbar } from "./system-toolbar";
import { Unsampled } from "./unsampled";

/** What the run's machines did: a section per family of metrics, a panel per thing measured. */
export function RunSystem() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const [search, change] = useSearchState();
  const scroller = useRef<HTMLDivElement>(null);
  const areaWidth = useAreaWidth(scroller);
  const columns = columnsIn(areaWidth, "small");
  const run = useQuery(runQuery(path));
  const keys = useQuery(systemKeysQuery(path));
  const axis = useTimeAxis(path, path.run);
  const query = useDeferredValue(search.m ?? "");
  const all = keys.data;
  const hosts = useMemo(() => hostsOf(all ?? []), [all]);
  const host = hosts.find((name) => name === search.host) ?? null;
  const totals = search.counters === "total";
  const sections = useMemo(
    () => systemSectionsOf(all ?? [], { search: matcherOf(query).test, host, totals, combined: false }),
    [all, query, host, totals],
  );
  const panels = useMemo(() => panelsById(sections), [sections]);
  const slot = useCallback(
    (id: string) => {
      const panel = panels.get(id);
      return panel === undefined ? null : <SystemSlot key={id} panel={panel} path={path} />;
    },
    [panels, path],
  );
  const closed = splitNames(search.closed);
  const toggle = (name: string) => {
    const next = closed.includes(name) ? closed.filter((other) => other !== name) : [...closed, name];
    change({ closed: next.length === 0 ? undefined : joinNames(next) });
  };
  const open = search.panel === undefined ? undefined : panels.get(search.panel);
  const sampled = all !== undefined && all.length > 0;
  return (
    <section className={css.page} aria-label="System metrics">
      {sampled && <SystemToolbar hosts={hosts} host={host} totals={totals} axis={axis} />}
      <div className={css.sections} ref={scroller}>
        {run.data != null && sampled && <QuietNote run={run.data} />}
        {keys.isPending && <GridSkeleton />}
        {keys.isError && all === undefined && (
          <Failure
            title="System metrics could not be loaded"
            error={keys.error}
            onRetry={() => void keys.refetch()}
          />
        )}
        {all?.length === 0 && run.data != null && <Unsampled run={run.data} />}
        {sampled && sections.length === 0 && (
          <Notice title="No system metric matches">None has “{query}” in its name.</Notice>
        )}
        <div className={css.families} style={{ gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>
          {sections.map((section) => (
            <Family
              key={section.name}
              section={section}
              closed={closed.includes(section.name)}
              onToggle={toggle}
              areaWidth={areaWidth}
              slot={slot}
            />
          ))}
        </div>
      </div>
      {open !== undefined && (
        <PanelDialog
          title={open.note === null ? open.title : `${open.title} · ${open.note}`}
          onClose={() => change({ panel: undefined }, "push")}
          aside={<PanelFacts panel={open} />}
        >
          <DevicePanel path={path} panel={open} settings={axis.settings} onZoom={axis.onZoom} />
        </PanelDialog>
      )}
    </section>
  );
}

interface FamilyProps {
  readonly section: SystemSection;
  readonly closed: boolean;
  readonly onToggle: (name: string) => void;
  readonly areaWidth: number;
  readonly slot: (id: string) => ReactNode;
}

function Family({ section, closed, onToggle, areaWidth, slot }: FamilyProps) {
  const ids = useMemo(() => section.panels.map((panel) => panel.id), [section]);
  const blocks = useMemo(() => [{ size: "small" as const, panels: ids }], [ids]);
  const columns = columnsIn(areaWidth, "small");
  // a section of one or two panels leaves the rest of the row to the next one
  const span = closed ? columns : Math.min(columns, ids.length);
  return (
    <div style={{ gridColumn: `span ${span}` }}>
      <PanelSection
        name={section.name}
        blocks={blocks}
        closed={closed}
        onToggle={() => onToggle(section.name)}
        areaWidth={areaWidth}
        slot={slot}
      />
    </div>
  );
}

/** The keys behind a panel, for whoever wants them in a script. */
function PanelFacts({ panel }: { readonly panel: SystemPanel }) {
  return (
    <div className={css.keys}>
      <h3>{panel.lines.length === 1 ? "Key" : "Keys"}</h3>
      <ul>
        {panel.lines.map((line) => (
          <li key={line.key}>
            <code>{line.key}</code>
          </li>
        ))}
      </ul>
      {panel.counter && <p>Counters, shown as their change per second.</p>}
    </div>
  );
}

function panelsById(sections: readonly SystemSection[]): ReadonlyMap<string, SystemPanel> {
  return new Map(sections.flatMap((section) => section.panels.map((panel) => [panel.id, panel])));
}
