import { createRootRoute, createRoute, createRouter, redirect } from "@tanstack/react-router";
import { RouteFailure } from "./app/route-failure";
import { parseSearchText, readSearch, stringifySearch } from "./app/search";
import { Shell } from "./app/shell";
import { HomePage } from "./pages/home/home-page";
import { NotFoundPage } from "./pages/not-found/not-found-page";
import { ProfilePage } from "./pages/profile/profile-page";
import { ProjectLayout } from "./pages/project/project-layout";
import { ProjectOverview } from "./pages/project/project-overview";
import { RunsTablePage } from "./pages/project/runs-table-page";
import { WorkspacePage } from "./pages/project/workspace-page";
import { RunCharts } from "./pages/run/charts-tab";
import { RunFiles } from "./pages/run/files-tab";
import { RunLogs } from "./pages/run/logs-tab";
import { RunOverview } from "./pages/run/overview-tab";
import { RunLayout } from "./pages/run/run-layout";
import { AuthorizePage } from "./pages/signin/authorize-page";

const root = createRootRoute({
  component: Shell,
  validateSearch: readSearch,
  notFoundComponent: NotFoundPage,
  errorComponent: RouteFailure,
});

const home = createRoute({ getParentRoute: () => root, path: "/", component: HomePage });
const login = createRoute({
  getParentRoute: () => root,
  path: "/login",
  beforeLoad: () => {
    // the shell shows the sign-in page to whoever is signed out; whoever is signed in goes home
    throw redirect({ to: "/", replace: true });
  },
});
const authorize = createRoute({ getParentRoute: () => root, path: "/authorize", component: AuthorizePage });
const profile = createRoute({ getParentRoute: () => root, path: "/$entity", component: ProfilePage });
const projects = createRoute({
  getParentRoute: () => root,
  path: "/$entity/projects",
  component: ProfilePage,
});

const project = createRoute({
  getParentRoute: () => root,
  path: "/$entity/$project",
  component: ProjectLayout,
});
const projectIndex = createRoute({ getParentRoute: () => project, path: "/", component: WorkspacePage });
const workspace = createRoute({
  getParentRoute: () => project,
  path: "/workspace",
  component: WorkspacePage,
});
const table = createRoute({ getParentRoute: () => project, path: "/table", component: RunsTablePage });
const overview = createRoute({
  getParentRoute: () => project,
  path: "/overview",
  component: ProjectOverview,
});

const run = createRoute({
  getParentRoute: () => root,
  path: "/$entity/$project/runs/$run",
  component: RunLayout,
});
const runIndex = createRoute({ getParentRoute: () => run, path: "/", component: RunCharts });
const runCharts = createRoute({ getParentRoute: () => run, path: "/workspace", component: RunCharts });
const runOverview = createRoute({ getParentRoute: () => run, path: "/overview", component: RunOverview });
const runLogs = createRoute({ getParentRoute: () => run, path: "/logs", component: RunLogs });
const runFiles = createRoute({ getParentRoute: () => run, path: "/files", component: RunFiles });

/** `/entity/project/id`, the form that people type, leads to the run's overview. */
const shortRun = createRoute({
  getParentRoute: () => root,
  path: "/$entity/$project/$run",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/$entity/$project/runs/$run/overview", params, replace: true });
  },
});

const routeTree = root.addChildren([
  home,
  login,
  authorize,
  profile,
  projects,
  project.addChildren([projectIndex, workspace, table, overview]),
  run.addChildren([runIndex, runCharts, runOverview, runLogs, runFiles]),
  shortRun,
]);

export function createAppRouter() {
  return createRouter({
    routeTree,
    parseSearch: parseSearchText,
    stringifySearch,
    defaultErrorComponent: RouteFailure,
    defaultNotFoundComponent: NotFoundPage,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
