import { memo, useRef } from "react";
import type { ProjectPath } from "../api/runs";
import { useSearchChange } from "../app/use-search-state";
import { IconButton } from "../kit/button";
import { ErrorBoundary } from "../kit/error-boundary";
import { useNear } from "../kit/use-near";
import css from "./grid.module.css";
import { linePanel } from "./line/line-panel";
import type { PanelRun } from "./types";
import { usePanelSettings } from "./use-panel-settings";

/** How far outside the screen a panel already loads, so that scrolling meets finished charts. */
const MARGIN = "240px";

interface PanelSlotProps {
  readonly metric: string;
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
}

/** Place of a panel in the grid. The panel exists only near the screen, and with it its requests. */
export const PanelSlot = memo(function PanelSlot({ metric, path, runs }: PanelSlotProps) {
  const ref = useRef<HTMLElement>(null);
  const near = useNear(ref, MARGIN);
  const change = useSearchChange();
  const { settings, onChange } = usePanelSettings(linePanel);
  return (
    <article ref={ref} className={css.panel} aria-label={metric} data-panel={metric}>
      <header>
        <h3 title={metric}>{metric}</h3>
        <IconButton
          icon="expand"
          label={`Open ${metric} full screen`}
          onClick={() => change({ panel: metric }, "push")}
        />
      </header>
      <div className={css.content}>
        {near && (
          <ErrorBoundary title="This chart could not be drawn">
            <linePanel.Panel
              path={path}
              runs={runs}
              metric={metric}
              settings={settings}
              onChange={onChange}
            />
          </ErrorBoundary>
        )}
      </div>
    </article>
  );
});
