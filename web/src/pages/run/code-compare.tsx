import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { createTwoFilesPatch } from "diff";
import { useMemo } from "react";
import { runRowsQuery, textPreviewQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { useSearchState } from "../../app/use-search-state";
import { Notice, Skeleton } from "../../kit/notice";
import css from "./files.module.css";
import { Highlighted } from "./highlighted";

/** Finding the changes of two texts that have nothing in common is given up after this time. */
const LONGEST_MS = 1000;

/** The run whose file of the same name is compared with the one that is open; part of the address. */
export function CompareSelect({ path }: { readonly path: RunPath }) {
  const [search, change] = useSearchState();
  const rows = useInfiniteQuery(runRowsQuery(path));
  const runs = rows.data?.pages.flatMap((page) => page.runs).filter(({ name }) => name !== path.run) ?? [];
  return (
    <label className={css.compare}>
      <span>Compare with</span>
      <select
        value={search.with ?? ""}
        onChange={(event) => change({ with: event.target.value === "" ? undefined : event.target.value })}
      >
        <option value="">no other run</option>
        {runs.map(({ name, displayName }) => (
          <option key={name} value={name}>
            {displayName === name ? name : `${displayName} (${name})`}
          </option>
        ))}
      </select>
    </label>
  );
}

interface CodeDiffProps {
  readonly path: RunPath;
  readonly other: string;
  readonly name: string;
  readonly text: string;
}

/** What changed from another run's file of the same name to this one. */
export function CodeDiff({ path, other, name, text }: CodeDiffProps) {
  const theirs = useQuery({ ...textPreviewQuery({ ...path, run: other }, name), retry: false });
  const before = theirs.data?.text;
  const patch = useMemo(() => {
    if (before === undefined || before === text) return before === undefined ? undefined : "";
    const found = createTwoFilesPatch(`${other}/${name}`, `${path.run}/${name}`, before, text, "", "", {
      timeout: LONGEST_MS,
    });
    // The first line is a rule for terminals.
    return found?.replace(/^=+\n/, "") ?? null;
  }, [before, text, other, name, path.run]);
  if (theirs.isError) {
    return <Notice title={`${other} has no such file`}>Choose another run to compare with.</Notice>;
  }
  if (patch === undefined) {
    return (
      <div className={css.skeleton}>
        <Skeleton width="60%" />
        <Skeleton width="42%" />
      </div>
    );
  }
  if (patch === null)
    return <Notice title="Too different">The two files have hardly a line in common.</Notice>;
  if (patch === "") return <Notice title="No difference">{`${other} has the same file.`}</Notice>;
  return (
    <div className={css.text}>
      <Highlighted name="changes.diff" text={patch} />
    </div>
  );
}
