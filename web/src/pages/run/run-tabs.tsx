import { Link, useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";
import type { RunPath } from "../../api/runs";
import { axisOf } from "../../app/search";
import kit from "../../kit/kit.module.css";
import { formatCount } from "../../model/format";
import css from "./run-tabs.module.css";

const TABS = [
  ["/$entity/$project/runs/$run", "Charts"],
  ["/$entity/$project/runs/$run/overview", "Overview"],
  ["/$entity/$project/runs/$run/system", "System"],
  ["/$entity/$project/runs/$run/logs", "Logs"],
  ["/$entity/$project/runs/$run/files", "Files"],
  ["/$entity/$project/runs/$run/artifacts", "Artifacts"],
  ["/$entity/$project/runs/$run/code", "Code"],
] as const;

type TabName = (typeof TABS)[number][1];

/** How many things a tab holds, and what they are. */
export type TabCounts = Readonly<Partial<Record<TabName, readonly [count: number, what: string]>>>;

interface RunTabsProps {
  readonly path: RunPath;
  readonly counts: TabCounts;
}

/** The run's pages; `[` and `]` go to the one before and after. */
export function RunTabs({ path, counts }: RunTabsProps) {
  useTabKeys(path);
  return (
    <nav className={kit.tabs} aria-label="Run">
      {TABS.map(([to, text], index) => (
        <Link
          key={to}
          to={to}
          params={path}
          search={axisOf}
          activeOptions={{ exact: index === 0, includeSearch: false }}
        >
          {text}
          <Count of={counts[text]} />
        </Link>
      ))}
    </nav>
  );
}

function Count({ of }: { readonly of: readonly [count: number, what: string] | undefined }) {
  if (of === undefined || of[0] === 0) return null;
  const [count, what] = of;
  return (
    <small className={css.count} title={what}>
      {formatCount(count)}
    </small>
  );
}

function useTabKeys(path: RunPath): void {
  const navigate = useNavigate();
  // "", entity, project, "runs", run, tab
  const tab = useRouterState({ select: (state) => state.location.pathname.split("/")[5] ?? "" });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== "[" && event.key !== "]") return;
      const { target } = event;
      const typing =
        target instanceof HTMLElement && target.closest("input, textarea, select, dialog") !== null;
      if (typing || event.metaKey || document.querySelector("dialog[open]") !== null) return;
      const here = Math.max(
        0,
        TABS.findIndex(([to]) => to.split("/")[5] === tab),
      );
      const [to] = TABS[here + (event.key === "[" ? -1 : 1)] ?? [];
      if (to !== undefined) void navigate({ to, params: path, search: axisOf });
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [navigate, path, tab]);
}
