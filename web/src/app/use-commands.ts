import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { type NavigateOptions, useParams } from "@tanstack/react-router";
import { metricsQuery, projectsQuery, recentRunsQuery, runRowsQuery } from "../api/queries";
import type { ProjectPath, RunPath } from "../api/runs";

export interface Command {
  readonly kind: "page" | "project" | "run" | "metric" | "action";
  readonly id: string;
  readonly title: string;
  readonly to: NavigateOptions;
  readonly act?: () => void;
}

/** Runs whose metrics the palette offers: enough to find every metric without asking for thousands. */
const METRIC_RUNS = 10;

/** What the palette can go to from here, nearest things first. */
export function useCommands(home: string, onHelp: () => void): Command[] {
  const { entity, project, run } = useParams({ strict: false });
  const inProject = entity !== undefined && project !== undefined;
  const path = { entity: entity ?? "", project: project ?? "" };
  const projects = useQuery({ ...projectsQuery(entity ?? home), enabled: home !== "" });
  const recent = useQuery({ ...recentRunsQuery(), enabled: !inProject });
  const rows = useInfiniteQuery({ ...runRowsQuery(path), enabled: inProject });
  const runs = inProject ? (rows.data?.pages.flatMap((page) => page.runs) ?? []) : [];
  const metrics = useQueries({
    queries: runs.slice(0, METRIC_RUNS).map((row) => metricsQuery({ ...path, run: row.name })),
  });
  const keys = new Map<string, NavigateOptions>();
  for (const [at, { data }] of metrics.entries()) {
    for (const [key, { numeric, media }] of data ?? []) {
      const owner = run ?? runs[at]?.name ?? "";
      // media have their panels on the pages of runs, charts on that of the project too
      const isOfRun = media !== null && !numeric;
      if (!keys.has(key)) keys.set(key, isOfRun ? runPanel({ ...path, run: owner }, key) : panel(path, key));
    }
  }

  return [
    ...(inProject && run !== undefined ? runPages({ ...path, run }) : []),
    ...pages(home, inProject ? path : null),
    ...runs.map((row) => runCommand(path.entity, path.project, row.name, row.displayName)),
    ...(recent.data ?? []).map((row) => runCommand(row.entity, row.project, row.name, row.displayName)),
    ...(projects.data ?? []).map((item): Command => {
      const params = { entity: item.entity, project: item.name };
      return { kind: "project", id: item.name, title: item.name, to: { to: "/$entity/$project", params } };
    }),
    ...[...keys].map(([key, to]): Command => ({ kind: "metric", id: key, title: key, to })),
    { kind: "action", id: "help", title: "Keyboard shortcuts", to: { to: "." }, act: onHelp },
  ];
}

function panel(params: ProjectPath, key: string): NavigateOptions {
  return { to: "/$entity/$project", params, search: { panel: key } };
}

function runPanel(params: RunPath, key: string): NavigateOptions {
  return { to: "/$entity/$project/runs/$run", params, search: { panel: key } };
}

/** The tabs of the run that is open. */
function runPages(params: RunPath): Command[] {
  const page = (title: string, to: NavigateOptions): Command => ({ kind: "page", id: title, title, to });
  return [
    page("Charts of this run", { to: "/$entity/$project/runs/$run", params }),
    page("Overview of this run", { to: "/$entity/$project/runs/$run/overview", params }),
    page("System metrics of this run", { to: "/$entity/$project/runs/$run/system", params }),
    page("Logs of this run", { to: "/$entity/$project/runs/$run/logs", params }),
    page("Files of this run", { to: "/$entity/$project/runs/$run/files", params }),
    page("Artifacts of this run", { to: "/$entity/$project/runs/$run/artifacts", params }),
  ];
}

function pages(home: string, path: { readonly entity: string; readonly project: string } | null): Command[] {
  const page = (title: string, to: NavigateOptions): Command => ({ kind: "page", id: title, title, to });
  const here =
    path === null
      ? []
      : [
          page("Workspace", { to: "/$entity/$project", params: path }),
          page("Runs table", { to: "/$entity/$project/table", params: path }),
          page("Project overview", { to: "/$entity/$project/overview", params: path }),
        ];
  return [
    ...here,
    page("Home", { to: "/" }),
    page("Your projects", { to: "/$entity", params: { entity: home } }),
    page("API key", { to: "/authorize" }),
  ];
}

function runCommand(entity: string, project: string, run: string, title: string): Command {
  const to: NavigateOptions = { to: "/$entity/$project/runs/$run", params: { entity, project, run } };
  return {
    kind: "run",
    id: `${entity}/${project}/${run}`,
    title: title === run ? run : `${title} (${run})`,
    to,
  };
}
