import { memo, useMemo, useRef } from "react";
import type { ProjectPath } from "../api/runs";
import { Icon } from "../kit/icon";
import { useNear } from "../kit/use-near";
import type { Section } from "../model/sections";
import css from "./grid.module.css";
import { CHUNK_PANELS, chunksOf, heightOf } from "./layout";
import { PanelSlot } from "./panel-slot";
import type { PanelRun } from "./types";

/** Chunks this near are put into the page, so that scrolling meets frames of panels and not a void. */
const CHUNK_MARGIN = "1200px";

interface PanelSectionProps {
  readonly section: Section;
  readonly closed: boolean;
  readonly onToggle: () => void;
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  readonly columns: number;
}

/** Panels of one key prefix; closed, it neither draws nor fetches. */
export function PanelSection({ section, closed, onToggle, path, runs, columns }: PanelSectionProps) {
  const chunks = useMemo(() => chunksOf(section.keys, CHUNK_PANELS), [section]);
  return (
    <section aria-label={section.name} className={css.section}>
      <h2>
        <button type="button" aria-expanded={!closed} onClick={onToggle}>
          <Icon name="chevron" />
          {section.name}
          <small>{section.keys.length}</small>
        </button>
      </h2>
      {!closed &&
        chunks.map((keys) => (
          <PanelChunk
            key={keys[0]}
            metrics={keys}
            path={path}
            runs={runs}
            height={heightOf(keys.length, columns)}
          />
        ))}
    </section>
  );
}

interface PanelChunkProps {
  readonly metrics: readonly string[];
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  readonly height: number;
}

/** Some rows of panels; far from the screen only their height. */
const PanelChunk = memo(function PanelChunk({ metrics, path, runs, height }: PanelChunkProps) {
  const ref = useRef<HTMLDivElement>(null);
  const near = useNear(ref, CHUNK_MARGIN);
  return (
    <div ref={ref} className={css.panels} style={near ? undefined : { height }}>
      {near && metrics.map((metric) => <PanelSlot key={metric} metric={metric} path={path} runs={runs} />)}
    </div>
  );
});
