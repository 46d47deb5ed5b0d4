import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { RouteFailure } from "./app/route-failure";
import { parseSearchText, readSearch, stringifySearch } from "./app/search";
import { Shell } from "./app/shell";
import { HomePage } from "./pages/home/home-page";
import { NotFoundPage } from "./pages/not-found/not-found-page";
import { ProfilePage } from "./pages/profile/profile-page";
import { ProjectLayout } from "./pages/project/project-layout";
import { WorkspacePage } from "./pages/project/workspace-page";
import { RunCharts } from "./pages/run/charts-tab";
import { RunLayout } from "./pages/run/run-layout";

// pages that are not the first thing people look at arrive when they are opened
const RunsTablePage = lazyRouteComponent(() => import("./pages/project/runs-table-page"), "RunsTablePage");
const ProjectOverview = lazyRouteComponent(
  () => import("./pages/project/project-overview"),
  "ProjectOverview",
);
const RunFiles = lazyRouteComponent(() => import("./pages/run/files-tab"), "RunFiles");
const RunArtifacts = lazyRouteComponent(() => import("./pages/run/artifacts/artifacts-tab"), "RunArtifacts");
const RunCode = lazyRouteComponent(() => import("./pages/run/code-tab"), "RunCode");
const RunLogs = lazyRouteComponent(() => import("./pages/run/logs/logs-tab"), "RunLogs");
const RunOverview = lazyRouteComponent(() => import("./pages/run/overview-tab"), "RunOverview");
const RunSystem = lazyRouteComponent(() => import("./pages/run/system/system-tab"), "RunSystem");
const ArtifactPage = lazyRouteComponent(() => import("./pages/artifact/artifact-page"), "ArtifactPage");
const AuthorizePage = lazyRouteComponent(() => import("./pages/signin/authorize-page"), "AuthorizePage");

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
const runSystem = createRoute({ getParentRoute: () => run, path: "/system", component: RunSystem });
const runFiles = createRoute({ getParentRoute: () => run, path: "/files", component: RunFiles });
const runCode = createRoute({ getParentRoute: () => run, path: "/code", component: RunCode });

const runArtifacts = createRoute({
  getParentRoute: () => run,
  path: "/artifacts",
  component: RunArtifacts,
});

/** The address of a version that clients print. */
const artifact = createRoute({
  getParentRoute: () => root,
  path: "/$entity/$project/artifacts/$type/$name/$version",
  component: ArtifactPage,
});

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
  run.addChildren([runIndex, runCharts, runOverview, runSystem, runLogs, runFiles, runArtifacts, runCode]),
  artifact,
  shortRun,
]);

export function createAppRouter() {
  return createRouter({
    routeTree,
    defaultPreload: "intent",
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
