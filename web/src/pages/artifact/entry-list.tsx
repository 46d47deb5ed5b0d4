import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef } from "react";
import type { ArtifactEntry } from "../../api/artifacts";
import { artifactEntriesQuery } from "../../api/queries";
import { Icon } from "../../kit/icon";
import { Failure, Skeleton } from "../../kit/notice";
import { formatBytes, formatCount } from "../../model/format";
import { safeLink } from "../../model/links";
import css from "./artifact.module.css";

const ROW_PIXELS = 32;
/** The next page is asked for when the end is this near. */
const ROWS_AHEAD = 30;

interface EntryListProps {
  /** Of the version. */
  readonly id: string;
  readonly total: number;
}

/** What is in a version, by path; more is loaded on the way down. */
export function EntryList({ id, total }: EntryListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useInfiniteQuery(artifactEntriesQuery(id));
  const entries = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const virtual = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 10,
  });
  const last = virtual.getVirtualItems().at(-1)?.index ?? 0;
  const { hasNextPage, isFetchingNextPage, isError, fetchNextPage } = list;
  const isNearEnd = entries.length > 0 && last + ROWS_AHEAD >= entries.length;
  useEffect(() => {
    if (isNearEnd && hasNextPage && !isFetchingNextPage && !isError) void fetchNextPage();
  }, [isNearEnd, hasNextPage, isFetchingNextPage, isError, fetchNextPage]);
  if (list.data === undefined) {
    if (list.error !== null) {
      return (
        <Failure title="Files could not be loaded" error={list.error} onRetry={() => void list.refetch()} />
      );
    }
    return (
      <div className={css.skeleton}>
        <Skeleton width="60%" />
        <Skeleton width="44%" />
        <Skeleton width="52%" />
      </div>
    );
  }
  return (
    <>
      <div ref={scroller} className={css.entries}>
        <ul style={{ height: virtual.getTotalSize() }} aria-label={`${formatCount(total)} files`}>
          {virtual.getVirtualItems().map((item) => {
            const entry = entries[item.index];
            if (entry === undefined) return null;
            return (
              <li key={entry.path} style={{ transform: `translateY(${item.start}px)` }}>
                <Entry entry={entry} />
              </li>
            );
          })}
        </ul>
      </div>
      <p className={css.total} role="status">
        {entries.length < total
          ? `${formatCount(entries.length)} of ${formatCount(total)} files loaded`
          : `${formatCount(total)} ${total === 1 ? "file" : "files"}`}
      </p>
      {isError && (
        <Failure
          compact
          title="More files could not be loaded"
          error={list.error}
          onRetry={() => void fetchNextPage()}
        />
      )}
    </>
  );
}

function Entry({ entry }: { readonly entry: ArtifactEntry }) {
  const { path, isReference, url } = entry;
  // where a reference leads is what somebody wrote: not every address may become a link
  const link = safeLink(url);
  const name = path.slice(path.lastIndexOf("/") + 1);
  return (
    <>
      <Icon name={isReference ? "link" : "file"} />
      <span className={css.path} title={path}>
        {path}
        {isReference && (
          <small title={url}>
            reference to{" "}
            {link === null ? (
              url
            ) : (
              <a href={link} rel="noopener noreferrer" target="_blank">
                {url}
              </a>
            )}
          </small>
        )}
      </span>
      {/* of what nobody has read there is no digest but the address itself */}
      {entry.digest !== url && <code title={`Digest ${entry.digest}`}>{entry.digest.slice(0, 10)}</code>}
      <span className={css.size}>{formatBytes(entry.sizeBytes)}</span>
      {!isReference && link !== null ? (
        <a href={link} download={name} aria-label={`Download ${path}`} title="Download">
          <Icon name="download" />
        </a>
      ) : (
        <span className={css.noDownload} />
      )}
    </>
  );
}
