import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import { MAX_FILES, type RunFile } from "../../api/files";
import type { RunPath } from "../../api/runs";
import { useSearchState } from "../../app/use-search-state";
import { moveByArrows } from "../../kit/arrow-keys";
import { Icon } from "../../kit/icon";
import { Notice, Skeleton } from "../../kit/notice";
import { SearchField } from "../../kit/search-field";
import { type FileRow, fileRows } from "../../model/file-tree";
import { formatBytes, formatCount } from "../../model/format";
import { matcherOf } from "../../model/search";
import { FilePreview } from "./file-preview";
import css from "./files.module.css";

const ROW_PIXELS = 28;

interface FileBrowserProps {
  readonly path: RunPath;
  /** Not there while they are being loaded. */
  readonly files: readonly RunFile[] | undefined;
  readonly label: string;
  /** Whether an open file can be compared with that of another run. */
  readonly compares?: boolean;
}

/** A tree of files beside the one that is open; which one, and the search, are part of the address. */
export function FileBrowser({ path, files, label, compares = false }: FileBrowserProps) {
  const [search, change] = useSearchState();
  const query = search.q ?? "";
  const shown = useMemo(() => {
    const { test } = matcherOf(query);
    return files?.filter((file) => test(file.name)) ?? [];
  }, [files, query]);
  const open = files?.find((file) => file.name === search.file) ?? null;
  return (
    <div className={css.files} data-open={open !== null}>
      <section className={css.browser} aria-label={label}>
        <div className={css.toolbar}>
          <SearchField
            main
            label="Search files (regex)"
            value={query}
            onChange={(text) => change({ q: text === "" ? undefined : text })}
            invalid={matcherOf(query).invalid}
          />
        </div>
        {files === undefined ? (
          <div className={css.skeleton}>
            <Skeleton width="70%" />
            <Skeleton width="55%" />
            <Skeleton width="62%" />
          </div>
        ) : (
          <FileTree
            files={shown}
            open={open?.name ?? null}
            onOpen={(name) => change({ file: name }, "push")}
          />
        )}
        <p className={css.total}>{totalText(files ?? [])}</p>
      </section>
      {open === null ? (
        <div className={css.nothing}>
          <Notice title="No file is open">Choose a file to see what is in it.</Notice>
        </div>
      ) : (
        <FilePreview
          path={path}
          file={open}
          compares={compares}
          onClose={() => change({ file: undefined }, "push")}
        />
      )}
    </div>
  );
}

function totalText(files: readonly RunFile[]): string {
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const more = files.length >= MAX_FILES ? ", first ones only" : "";
  return `${formatCount(files.length)} files, ${formatBytes(bytes)}${more}`;
}

interface FileTreeProps {
  readonly files: readonly RunFile[];
  readonly open: string | null;
  readonly onOpen: (name: string) => void;
}

function FileTree({ files, open, onOpen }: FileTreeProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => fileRows(files, closed), [files, closed]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 10,
  });
  const press = (row: FileRow<RunFile>) => {
    if (row.file !== null) return onOpen(row.path);
    const next = new Set(closed);
    if (!next.delete(row.path)) next.add(row.path);
    return setClosed(next);
  };
  return (
    <div ref={scroller} className={css.tree}>
      <ul style={{ height: virtual.getTotalSize() }} onKeyDown={moveByArrows}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <li
              key={`${row.file === null ? "folder" : "file"} ${row.path}`}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <button
                type="button"
                title={row.path}
                style={{ paddingLeft: 12 + row.depth * 16 }}
                aria-current={row.file !== null && row.path === open}
                aria-expanded={row.file === null ? !closed.has(row.path) : undefined}
                onClick={() => press(row)}
              >
                <Icon name={row.file === null ? "folder" : "file"} />
                <span>{row.name}</span>
                <small>{formatBytes(row.bytes)}</small>
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
