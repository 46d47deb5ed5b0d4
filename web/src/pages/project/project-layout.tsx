import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useParams } from "@tanstack/react-router";
import { projectQuery } from "../../api/queries";
import kit from "../../kit/kit.module.css";
import { Failure } from "../../kit/notice";
import { PageTitle } from "../../kit/page-title";
import { formatCount } from "../../model/format";
import { NotFoundPage } from "../not-found/not-found-page";
import css from "./project.module.css";

export function ProjectLayout() {
  const path = useParams({ from: "/$entity/$project" });
  const project = useQuery(projectQuery(path));
  if (project.data === null) return <NotFoundPage />;
  if (project.data === undefined && project.isError) {
    return (
      <Failure
        title="The project could not be loaded"
        error={project.error}
        onRetry={() => void project.refetch()}
      />
    );
  }
  return (
    <div className={css.layout}>
      <PageTitle of={path.project} />
      <nav className={`${kit.tabs} ${css.tabs}`} aria-label="Project">
        <Link to="/$entity/$project" params={path} activeOptions={{ exact: true, includeSearch: false }}>
          Workspace
        </Link>
        <Link to="/$entity/$project/table" params={path} activeOptions={{ includeSearch: false }}>
          Runs
          {project.data !== undefined && <small>{formatCount(project.data.runCount)}</small>}
        </Link>
        <Link to="/$entity/$project/overview" params={path} activeOptions={{ includeSearch: false }}>
          Overview
        </Link>
      </nav>
      <div className={css.body}>
        <Outlet />
      </div>
    </div>
  );
}
