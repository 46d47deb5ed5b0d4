import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ProjectSummary } from "../../api/projects";
import { projectsQuery, recentRunsQuery, sessionQuery } from "../../api/queries";
import type { RecentRun } from "../../api/runs";
import { useNow } from "../../app/use-now";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { PageTitle } from "../../kit/page-title";
import { Sparkbars } from "../../kit/sparkbars";
import { activityByDay } from "../../model/activity";
import { formatAgo, plural } from "../../model/format";
import css from "./home.module.css";
import { RunTable } from "./run-table";

const DAYS = 14;
const RECENT_SHOWN = 20;

const FIRST_RUN = [
  "import runlane",
  'with runlane.init(project="first") as run:',
  '    run.log({"loss": 0.3})',
].join("\n");

export function HomePage() {
  const session = useQuery(sessionQuery());
  const recent = useQuery(recentRunsQuery());
  const entity = session.data?.entity ?? "";
  const projects = useQuery({ ...projectsQuery(entity), enabled: entity !== "" });
  if (recent.data?.length === 0 && projects.data?.length === 0) {
    return (
      <Notice title="Nothing has run yet" code={FIRST_RUN}>
        Start a run and it shows up here, live. A shell that should log to this server needs the two lines
        that <code>runlane server env</code> prints.
      </Notice>
    );
  }
  const live = recent.data?.filter((run) => run.state === "running") ?? [];
  return (
    <div className={css.page}>
      <PageTitle />
      <div className={css.main}>
        {live.length > 0 && (
          <section>
            <h2>
              Live now <small>{live.length}</small>
            </h2>
            <RunTable runs={live} />
          </section>
        )}
        <section>
          <h2>Recent runs</h2>
          {recent.isError && recent.data === undefined ? (
            <Failure
              title="Runs could not be loaded"
              error={recent.error}
              onRetry={() => void recent.refetch()}
            />
          ) : (
            <RecentRuns runs={recent.data} />
          )}
        </section>
      </div>
      <section className={css.side}>
        <h2>Projects</h2>
        {projects.isError && projects.data === undefined ? (
          <Failure
            compact
            title="Projects could not be loaded"
            error={projects.error}
            onRetry={() => void projects.refetch()}
          />
        ) : (
          <ProjectList projects={projects.data} recent={recent.data ?? []} />
        )}
      </section>
    </div>
  );
}

function RecentRuns({ runs }: { readonly runs: readonly RecentRun[] | undefined }) {
  if (runs === undefined) return <RowsSkeleton />;
  const ended = runs.filter((run) => run.state !== "running");
  if (ended.length === 0) return <p className={css.none}>No run has ended yet.</p>;
  return <RunTable runs={ended.slice(0, RECENT_SHOWN)} />;
}

interface ProjectListProps {
  readonly projects: readonly ProjectSummary[] | undefined;
  readonly recent: readonly RecentRun[];
}

function ProjectList({ projects, recent }: ProjectListProps) {
  const now = useNow();
  if (projects === undefined) return <RowsSkeleton />;
  if (projects.length === 0) return <p className={css.none}>No project yet.</p>;
  return (
    <ul className={css.projects}>
      {projects.map(({ entity, name, runCount, lastActivityAt, createdAt }) => (
        <li key={`${entity}/${name}`}>
          <Link to="/$entity/$project" params={{ entity, project: name }}>
            <strong>{name}</strong>
            <small>
              {plural(runCount, "run")} · {formatAgo(lastActivityAt ?? createdAt, now)}
            </small>
            <Sparkbars
              label={`Runs started per day, last ${DAYS} days`}
              values={activityByDay(
                recent.filter((run) => run.entity === entity && run.project === name),
                DAYS,
                now,
              )}
            />
          </Link>
        </li>
      ))}
    </ul>
  );
}

function RowsSkeleton() {
  return (
    <div className={css.skeleton}>
      {[80, 65, 72, 58, 76].map((width) => (
        <Skeleton key={width} width={`${width}%`} />
      ))}
    </div>
  );
}
