import type { ProjectPath } from "../api/runs";
import { Icon } from "../kit/icon";
import type { Section } from "../model/sections";
import css from "./grid.module.css";
import { PanelSlot } from "./panel-slot";
import type { PanelRun } from "./types";

interface PanelSectionProps {
  readonly section: Section;
  readonly closed: boolean;
  readonly onToggle: () => void;
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
}

/** Panels of one key prefix; closed, it neither draws nor fetches. */
export function PanelSection({ section, closed, onToggle, path, runs }: PanelSectionProps) {
  return (
    <section aria-label={section.name} className={css.section}>
      <h2>
        <button type="button" aria-expanded={!closed} onClick={onToggle}>
          <Icon name="chevron" />
          {section.name}
          <small>{section.keys.length}</small>
        </button>
      </h2>
      {!closed && (
        <div className={css.panels}>
          {section.keys.map((key) => (
            <PanelSlot key={key} metric={key} path={path} runs={runs} />
          ))}
        </div>
      )}
    </section>
  );
}
