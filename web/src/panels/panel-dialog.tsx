import type { ReactNode } from "react";
import { Dialog } from "../kit/dialog";
import { ErrorBoundary } from "../kit/error-boundary";
import css from "./grid.module.css";

interface PanelDialogProps {
  readonly title: string;
  readonly onClose: () => void;
  /** Its settings, beside it. */
  readonly aside?: ReactNode;
  readonly children: ReactNode;
}

/** One panel in full screen. */
export function PanelDialog({ title, onClose, aside, children }: PanelDialogProps) {
  return (
    <Dialog title={title} onClose={onClose} size="wide">
      <div className={css.dialog} data-aside={aside !== undefined}>
        <div className={css.content}>
          <ErrorBoundary title="This panel could not be drawn">{children}</ErrorBoundary>
        </div>
        {aside !== undefined && <aside>{aside}</aside>}
      </div>
    </Dialog>
  );
}
