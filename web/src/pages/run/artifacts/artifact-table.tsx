import { Link } from "@tanstack/react-router";
import type { ArtifactRow } from "../../../api/artifacts";
import { useNow } from "../../../app/use-now";
import { moveByArrows } from "../../../kit/arrow-keys";
import { formatAgo, formatBytes, formatCount, formatTime } from "../../../model/format";
import css from "./artifacts.module.css";

/** Characters of a digest that tell versions apart. */
const DIGEST_CHARACTERS = 10;

interface ArtifactTableProps {
  readonly rows: readonly ArtifactRow[];
  readonly label: string;
}

/** Versions, a row each; the name leads to what is in it. */
export function ArtifactTable({ rows, label }: ArtifactTableProps) {
  const now = useNow();
  return (
    <div className={css.scroller}>
      <table className={css.table} aria-label={label}>
        <thead>
          <tr>
            <th>Name</th>
            <th>Type</th>
            <th>Aliases</th>
            <th data-right="true">Size</th>
            <th data-right="true">Files</th>
            <th>Created</th>
            <th>Digest</th>
          </tr>
        </thead>
        <tbody onKeyDown={moveByArrows}>
          {rows.map((row) => (
            <tr key={row.id}>
              <td>
                <VersionLink row={row} />
              </td>
              <td title={row.type}>{row.type}</td>
              <td>
                <span className={css.tags}>
                  {row.aliases.map((alias) => (
                    <span key={alias} className={css.tag}>
                      {alias}
                    </span>
                  ))}
                </span>
              </td>
              <td data-right="true">{formatBytes(row.sizeBytes)}</td>
              <td data-right="true">{formatCount(row.fileCount)}</td>
              <td title={formatTime(row.createdAt)}>{formatAgo(row.createdAt, now)}</td>
              <td>
                <code title={row.digest}>{row.digest.slice(0, DIGEST_CHARACTERS)}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function VersionLink({ row }: { readonly row: ArtifactRow }) {
  if (row.versionIndex === null) {
    return (
      <>
        {row.name} <small>uploading…</small>
      </>
    );
  }
  const version = `v${row.versionIndex}`;
  const text = `${row.name}:${version}`;
  // of a version in a project that one may not see there is no page
  if (row.home.project === "") return <>{text}</>;
  return (
    <Link
      to="/$entity/$project/artifacts/$type/$name/$version"
      params={{ ...row.home, type: row.type, name: row.name, version }}
      title={text}
    >
      {text}
    </Link>
  );
}
