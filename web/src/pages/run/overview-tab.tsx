import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { type ExtendedObject, isExtendedObject } from "../../api/extended-json";
import { recipeQuery, runQuery } from "../../api/queries";
import type { RunDetail, RunOrigin, RunPath } from "../../api/runs";
import { useSearchState } from "../../app/use-search-state";
import { CopyButton, Skeleton } from "../../kit/notice";
import { RunState } from "../../kit/run-state";
import { SearchField } from "../../kit/search-field";
import { ValueTree } from "../../kit/value-tree";
import { formatDuration, formatTime } from "../../model/format";
import { matcherOf } from "../../model/search";
import { Alerts } from "./alerts";
import { Reproduce } from "./reproduce";
import css from "./run.module.css";

export function RunOverview() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const [search, change] = useSearchState();
  const { data } = useQuery(runQuery(path));
  const query = search.q ?? "";
  if (data == null) {
    return (
      <div className={css.overview}>
        <Skeleton height={240} />
      </div>
    );
  }
  return (
    <div className={css.overview}>
      <div className={css.trees}>
        <Facts run={data} path={path} />
        <Reproduce path={path} />
      </div>
      <div className={css.trees}>
        <Alerts path={path} count={data.alertCount} />
        <SearchField
          main
          label="Search config and summary (regex)"
          value={query}
          onChange={(text) => change({ q: text === "" ? undefined : text })}
          invalid={matcherOf(query).invalid}
        />
        <ValueTree
          title="Config"
          root={data.config}
          query={query}
          empty="No config. Values given to init(config={…}) show up here."
        />
        <ValueTree
          title="Summary"
          root={withoutInternal(data.summary)}
          query={query}
          empty="Nothing logged yet. The last value of every metric shows up here."
          linkTo={(file, text) => (
            <Link to="/$entity/$project/runs/$run/files" params={path} search={{ file }}>
              {text}
            </Link>
          )}
        />
      </div>
    </div>
  );
}

function Facts({ run, path }: { readonly run: RunDetail; readonly path: RunPath }) {
  const git = run.metadata.get("git");
  const python = textOf(run.metadata, "python");
  const system = textOf(run.metadata, "os");
  const directory = textOf(run.metadata, "root");
  const remote = isExtendedObject(git) ? textOf(git, "remote") : null;
  const commit = run.commit ?? (isExtendedObject(git) ? textOf(git, "commit") : null);
  const { data: recipe } = useQuery(recipeQuery(path));
  const command = run.command ?? run.program;
  return (
    <dl className={css.facts}>
      <Fact name="State">
        <RunState state={run.state} />
        {run.exitCode !== null && run.exitCode !== 0 && (
          <span className={css.muted}>exit code {run.exitCode}</span>
        )}
      </Fact>
      <Fact name="Run id" copy={path.run}>
        <code>{path.run}</code>
      </Fact>
      <Fact name="Path" copy={`${path.entity}/${path.project}/${path.run}`}>
        <code>{`${path.entity}/${path.project}/${path.run}`}</code>
      </Fact>
      <Fact name="Immutable id" copy={run.immutableId}>
        <code>{run.immutableId}</code>
      </Fact>
      <Fact name={run.origin?.rewound === true ? "Rewound from" : "Forked from"}>
        {run.origin !== null && <Origin origin={run.origin} path={path} />}
      </Fact>
      <Fact name="Started">{formatTime(run.createdAt)}</Fact>
      <Fact name="Last heartbeat">{run.heartbeatAt === null ? null : formatTime(run.heartbeatAt)}</Fact>
      <Fact name="Runtime">
        {run.runtimeSeconds === null ? null : formatDuration(Math.round(run.runtimeSeconds))}
      </Fact>
      <Fact name="User">{run.username}</Fact>
      <Fact name="Host">{run.host}</Fact>
      <Fact name="System">{system}</Fact>
      <Fact name="Python">{python}</Fact>
      <Fact name="Command" copy={command}>
        {command !== null && <code>{command}</code>}
      </Fact>
      <Fact name="Directory" copy={directory}>
        {directory !== null && <code>{directory}</code>}
      </Fact>
      <Fact name="Git repository" copy={recipe?.repository ?? remote}>
        {remote !== null && <code>{recipe?.repository ?? remote}</code>}
      </Fact>
      <Fact name="Git commit" copy={commit}>
        {commit !== null && <code>{commit}</code>}
      </Fact>
      <Fact name="Git state" copy={recipe?.gitState ?? null}>
        {recipe?.gitState != null && <code>{recipe.gitState}</code>}
      </Fact>
      <Fact name="Group">{run.group}</Fact>
      <Fact name="Job type">{run.jobType}</Fact>
      <Fact name="Tags">
        {run.tags.length === 0
          ? null
          : run.tags.map((tag) => (
              <span key={tag} className={css.tag}>
                {tag}
              </span>
            ))}
      </Fact>
      <Fact name="Notes">{run.notes === "" ? null : <span className={css.notes}>{run.notes}</span>}</Fact>
    </dl>
  );
}

/** Where the history begins; a run that was deleted has no page to go to. */
function Origin({ origin, path }: { readonly origin: RunOrigin; readonly path: RunPath }) {
  const text = `${origin.rewound ? origin.name : origin.displayName}@${origin.step}`;
  if (origin.deleted) return <span className={css.muted}>{text} (deleted)</span>;
  return (
    <Link to="/$entity/$project/runs/$run" params={{ ...path, run: origin.name }}>
      {text}
    </Link>
  );
}

interface FactProps {
  readonly name: string;
  readonly children: ReactNode;
  /** What the copy button puts on the clipboard. */
  readonly copy?: string | null;
}

/** One fact; facts that are not known are left out. */
function Fact({ name, children, copy = null }: FactProps) {
  if (children === null || children === false || children === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
      {copy !== null && <CopyButton text={copy} label={`Copy ${name.toLowerCase()}`} />}
    </div>
  );
}

function textOf(object: ExtendedObject, key: string): string | null {
  const value = object.get(key);
  return typeof value === "string" && value !== "" ? value : null;
}

function withoutInternal(summary: ExtendedObject): ExtendedObject {
  return new Map([...summary].filter(([key]) => key !== "_wandb"));
}
