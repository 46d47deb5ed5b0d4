import { type ReactNode, useMemo, useRef } from "react";
import { Icon } from "../kit/icon";
import { useNear } from "../kit/use-near";
import css from "./grid.module.css";
import { CHUNK_PANELS, chunksOf, heightOf } from "./layout";

/** Chunks this near are put into the page, so that scrolling meets frames of panels and not a void. */
const CHUNK_MARGIN = "1200px";

interface PanelSectionProps {
  readonly name: string;
  /** Ids of its panels. */
  readonly panels: readonly string[];
  readonly closed: boolean;
  readonly onToggle: () => void;
  readonly columns: number;
  /** The place of one panel. */
  readonly slot: (id: string) => ReactNode;
}

/** Panels under one heading; closed, it neither draws nor fetches. */
export function PanelSection({ name, panels, closed, onToggle, columns, slot }: PanelSectionProps) {
  const chunks = useMemo(() => chunksOf(panels, CHUNK_PANELS), [panels]);
  return (
    <section aria-label={name} className={css.section}>
      <h2>
        <button type="button" aria-expanded={!closed} onClick={onToggle}>
          <Icon name="chevron" />
          {name}
          <small>{panels.length}</small>
        </button>
      </h2>
      {!closed &&
        chunks.map((ids) => (
          <PanelChunk key={ids[0]} ids={ids} slot={slot} height={heightOf(ids.length, columns)} />
        ))}
    </section>
  );
}

interface PanelChunkProps {
  readonly ids: readonly string[];
  readonly slot: (id: string) => ReactNode;
  readonly height: number;
}

/** Some rows of panels; far from the screen only their height. */
function PanelChunk({ ids, slot, height }: PanelChunkProps) {
  const ref = useRef<HTMLDivElement>(null);
  const near = useNear(ref, CHUNK_MARGIN);
  return (
    <div ref={ref} className={css.panels} style={near ? undefined : { height }}>
      {near && ids.map((id) => slot(id))}
    </div>
  );
}
