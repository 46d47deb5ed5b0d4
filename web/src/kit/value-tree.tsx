import { type ReactNode, useMemo, useState } from "react";
import type { ExtendedObject } from "../api/extended-json";
import { matcherOf } from "../model/search";
import { type TreeRow, treeRows } from "../model/tree";
import { Icon } from "./icon";
import { CopyButton } from "./notice";
import css from "./value-tree.module.css";

/** Rows drawn at once; a search finds the others. */
const MAX_ROWS = 500;

interface ValueTreeProps {
  readonly title: string;
  readonly root: ExtendedObject;
  readonly query: string;
  /** Said when there are no values at all. */
  readonly empty: string;
  /** A link to the run's file that has the content of a value. */
  readonly linkTo?: (file: string, text: string) => ReactNode;
}

/** Nested values as a tree that can be searched, folded and copied from. */
export function ValueTree({ title, root, query, empty, linkTo }: ValueTreeProps) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => treeRows(root, matcherOf(query).test), [root, query]);
  const visible = rows.filter((row) => query !== "" || !hidden(row, closed));
  const toggle = (path: string) => {
    const next = new Set(closed);
    if (!next.delete(path)) next.add(path);
    setClosed(next);
  };
  return (
    <section className={css.tree} aria-label={title}>
      <h2>
        {title} <small>{rows.filter((row) => row.value !== null).length}</small>
      </h2>
      {root.size === 0 && <p>{empty}</p>}
      {root.size > 0 && rows.length === 0 && <p>Nothing matches “{query}”.</p>}
      <ul>
        {visible.slice(0, MAX_ROWS).map((row) => (
          <li key={row.path} className={css.row}>
            <span className={css.name} style={{ paddingLeft: row.depth * 16 }} title={row.path}>
              {row.value === null ? (
                <button type="button" aria-expanded={!closed.has(row.path)} onClick={() => toggle(row.path)}>
                  <Icon name="chevron" />
                  {row.name}
                  <small>{row.leaves}</small>
                </button>
              ) : (
                row.name
              )}
            </span>
            {row.value !== null && (
              <>
                <code title={row.value}>
                  {row.file === null ? row.value : (linkTo?.(row.file, row.value) ?? row.value)}
                </code>
                <CopyButton text={row.value} label={`Copy ${row.path}`} />
              </>
            )}
          </li>
        ))}
      </ul>
      {visible.length > MAX_ROWS && <p>{visible.length - MAX_ROWS} more. Search to narrow the list.</p>}
    </section>
  );
}

/** Whether one of the row's parents is folded. */
function hidden(row: TreeRow, closed: ReadonlySet<string>): boolean {
  return [...closed].some((path) => row.path.startsWith(`${path}.`));
}
