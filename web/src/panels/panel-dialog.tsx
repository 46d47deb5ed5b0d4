import type { ProjectPath } from "../api/runs";
import { Dialog } from "../kit/dialog";
import { ErrorBoundary } from "../kit/error-boundary";
import css from "./grid.module.css";
import { linePanel } from "./line/line-panel";
import type { PanelRun } from "./types";
import { usePanelSettings } from "./use-panel-settings";

interface PanelDialogProps {
  readonly metric: string;
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  readonly onClose: () => void;
}

/** One panel in full screen, with its settings beside it. */
export function PanelDialog({ metric, path, runs, onClose }: PanelDialogProps) {
  const { settings, onChange } = usePanelSettings(linePanel);
  return (
    <Dialog title={metric} onClose={onClose} size="wide">
      <div className={css.dialog}>
        <div className={css.content}>
          <ErrorBoundary title="This chart could not be drawn">
            <linePanel.Panel
              path={path}
              runs={runs}
              metric={metric}
              settings={settings}
              onChange={onChange}
            />
          </ErrorBoundary>
        </div>
        <aside>
          <linePanel.Settings settings={settings} onChange={onChange} />
        </aside>
      </div>
    </Dialog>
  );
}
