import { type ReactNode, useMemo, useRef } from "react";
import { Icon } from "../kit/icon";
import { useNear } from "../kit/use-near";
import css from "./grid.module.css";
import { CHUNK_PANELS, chunksOf, heightOf, type PanelSize } from "./layout";

/** Chunks this near are put into the page, so that scrolling meets frames of panels and not a void. */
const CHUNK_MARGIN = "1200px";

/** Panels of one size. */
export interface PanelBlock {
  readonly size: PanelSize;
  /** Ids of its panels. */
  readonly panels: readonly string[];
}

interface PanelSectionProps {
  readonly name: string;
  readonly blocks: readonly PanelBlock[];
  readonly closed: boolean;
  readonly onToggle: () => void;
  /** Of the scrolled area. */
  readonly areaWidth: number;
  /** The place of one panel. */
  readonly slot: (id: string, size: PanelSize) => ReactNode;
}

/** Panels under one heading; closed, it neither draws nor fetches. */
export function PanelSection({ name, blocks, closed, onToggle, areaWidth, slot }: PanelSectionProps) {
  const chunks = useMemo(
    () => blocks.flatMap(({ size, panels }) => chunksOf(panels, CHUNK_PANELS).map((ids) => ({ size, ids }))),
    [blocks],
  );
  return (
    <section aria-label={name} className={css.section}>
      <h2>
        <button type="button" aria-expanded={!closed} onClick={onToggle}>
          <Icon name="chevron" />
          {name}
          <small>{blocks.reduce((sum, { panels }) => sum + panels.length, 0)}</small>
        </button>
      </h2>
      {!closed &&
        chunks.map(({ size, ids }) => (
          <PanelChunk
            key={`${size} ${ids[0]}`}
            size={size}
            ids={ids}
            slot={slot}
            height={heightOf(ids.length, areaWidth, size)}
          />
        ))}
    </section>
  );
}

interface PanelChunkProps {
  readonly size: PanelSize;
  readonly ids: readonly string[];
  readonly slot: (id: string, size: PanelSize) => ReactNode;
  readonly height: number;
}

/** Some rows of panels; far from the screen only their height. */
function PanelChunk({ size, ids, slot, height }: PanelChunkProps) {
  const ref = useRef<HTMLDivElement>(null);
  const near = useNear(ref, CHUNK_MARGIN);
  return (
    <div ref={ref} className={css.panels} data-size={size} style={near ? undefined : { height }}>
      {near && ids.map((id) => slot(id, size))}
    </div>
  );
}
