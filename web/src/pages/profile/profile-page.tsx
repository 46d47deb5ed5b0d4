import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { projectsQuery } from "../../api/queries";
import { useNow } from "../../app/use-now";
import { useSearchState } from "../../app/use-search-state";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { PageTitle } from "../../kit/page-title";
import { SearchField } from "../../kit/search-field";
import { formatAgo, plural } from "../../model/format";
import { matcherOf } from "../../model/search";
import css from "./profile.module.css";

/** An entity and its projects. */
export function ProfilePage() {
  const { entity = "" } = useParams({ strict: false });
  const [search, change] = useSearchState();
  const now = useNow();
  const projects = useQuery(projectsQuery(entity));
  const { test, invalid } = matcherOf(search.q ?? "");
  const shown = projects.data?.filter(({ name }) => test(name));
  return (
    <div className={css.page}>
      <PageTitle of={entity} />
      <header>
        <h1>{entity}</h1>
        <SearchField
          main
          label="Search projects (regex)"
          value={search.q ?? ""}
          onChange={(text) => change({ q: text === "" ? undefined : text })}
          invalid={invalid}
        />
      </header>
      {projects.isError && projects.data === undefined && (
        <Failure
          title="Projects could not be loaded"
          error={projects.error}
          onRetry={() => void projects.refetch()}
        />
      )}
      {projects.isPending && <Skeleton height={160} />}
      {shown?.length === 0 && (
        <Notice title={projects.data?.length === 0 ? "No projects here" : "No project matches"}>
          A project is created by its first run: <code>runlane.init(project="…")</code>.
        </Notice>
      )}
      <ul>
        {shown?.map(({ name, description, runCount, lastActivityAt, createdAt }) => (
          <li key={name}>
            <Link to="/$entity/$project" params={{ entity, project: name }}>
              <strong>{name}</strong>
              <span>{description}</span>
              <small>{plural(runCount, "run")}</small>
              <small>{formatAgo(lastActivityAt ?? createdAt, now)}</small>
            </Link>
          </li>
        ))}
      </ul>
    </div>
  );
}
