import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { artifactQuery } from "../../api/queries";
import { Icon } from "../../kit/icon";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { PageTitle } from "../../kit/page-title";
import { formatBytes, formatCount } from "../../model/format";
import { NotFoundPage } from "../not-found/not-found-page";
import css from "./artifact.module.css";
import { ArtifactFacts } from "./artifact-facts";
import { EntryList } from "./entry-list";

/** One version of an artifact: what it is, where it comes from, what is in it. */
export function ArtifactPage() {
  const path = useParams({ from: "/$entity/$project/artifacts/$type/$name/$version" });
  const { data, error, refetch } = useQuery(artifactQuery(path));
  // collections are found by their names alone
  if (data === null || (data !== undefined && data.type !== path.type)) return <NotFoundPage />;
  if (data === undefined && error !== null) {
    return <Failure title="The artifact could not be loaded" error={error} onRetry={() => void refetch()} />;
  }
  const version = data?.place == null ? path.version : `v${data.place}`;
  return (
    <div className={css.layout}>
      <PageTitle of={`${path.name}:${version} · ${path.project}`} />
      <header className={css.header}>
        <Icon name="artifact" />
        <h1 title={`${path.name}:${version}`}>
          {path.name}
          <span>:{version}</span>
        </h1>
        {data !== undefined && (
          <p>
            <span>{data.type}</span>
            <span>{formatBytes(data.sizeBytes)}</span>
            <span>
              {formatCount(data.fileCount)} {data.fileCount === 1 ? "file" : "files"}
            </span>
          </p>
        )}
      </header>
      {error !== null && (
        <div className={css.stale}>
          <Failure
            compact
            title="The artifact could not be brought up to date"
            error={error}
            onRetry={() => void refetch()}
          />
        </div>
      )}
      <div className={css.body}>
        {data === undefined ? (
          <div className={css.facts}>
            <Skeleton height={240} />
          </div>
        ) : (
          <ArtifactFacts artifact={data} path={path} />
        )}
        <section className={css.files} aria-label="Files">
          {data === undefined ? (
            <div className={css.skeleton}>
              <Skeleton width="60%" />
              <Skeleton width="44%" />
              <Skeleton width="52%" />
            </div>
          ) : data.fileCount === 0 ? (
            <Notice title="Empty">There is nothing in this version.</Notice>
          ) : (
            <EntryList id={data.id} total={data.fileCount} />
          )}
        </section>
      </div>
    </div>
  );
}
