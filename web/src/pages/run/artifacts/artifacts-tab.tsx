import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { Direction } from "../../../api/artifacts";
import { runArtifactsQuery } from "../../../api/queries";
import type { RunPath } from "../../../api/runs";
import { Button } from "../../../kit/button";
import { Failure, Notice, Skeleton } from "../../../kit/notice";
import { formatCount } from "../../../model/format";
import { ArtifactTable } from "./artifact-table";
import css from "./artifacts.module.css";

const EXAMPLE = `artifact = runlane.Artifact("digits-model", type="model")
artifact.add_file("model.pt")
run.log_artifact(artifact)`;

/** The versions that the run logged, and those that it used. */
export function RunArtifacts() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const outputs = useInfiniteQuery(runArtifactsQuery(path, "outputs"));
  const inputs = useInfiniteQuery(runArtifactsQuery(path, "inputs"));
  const isEmpty = [outputs, inputs].every(({ data }) => data?.pages[0]?.items.length === 0);
  if (isEmpty) {
    return (
      <Notice title="No artifacts" code={EXAMPLE}>
        Versions of data sets, models and other files that a run logs or uses show up here.
      </Notice>
    );
  }
  return (
    <div className={css.page}>
      <Versions path={path} direction="outputs" title="Outputs" none="The run has logged no artifact." />
      <Versions path={path} direction="inputs" title="Inputs" none="The run has used no artifact." />
    </div>
  );
}

interface VersionsProps {
  readonly path: RunPath;
  readonly direction: Direction;
  readonly title: string;
  /** What it means that there are none. */
  readonly none: string;
}

function Versions({ path, direction, title, none }: VersionsProps) {
  const list = useInfiniteQuery(runArtifactsQuery(path, direction));
  const pages = list.data?.pages ?? [];
  const rows = pages.flatMap((page) => page.items);
  const total = pages.at(-1)?.total ?? 0;
  return (
    <section aria-label={title} className={css.section}>
      <h2>
        {title} {list.data !== undefined && <small>{formatCount(total)}</small>}
      </h2>
      {list.data === undefined && list.error === null && (
        <div className={css.skeleton}>
          <Skeleton width="60%" />
          <Skeleton width="48%" />
        </div>
      )}
      {list.error !== null && (
        <Failure
          compact
          title={`${title} could not be loaded`}
          error={list.error}
          onRetry={() => void (list.data === undefined ? list.refetch() : list.fetchNextPage())}
        />
      )}
      {list.data !== undefined && rows.length === 0 && <p className={css.none}>{none}</p>}
      {rows.length > 0 && <ArtifactTable rows={rows} label={title} />}
      {list.hasNextPage && (
        <Button disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          Show more of {formatCount(total)}
        </Button>
      )}
    </section>
  );
}
