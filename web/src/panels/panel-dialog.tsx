import type { ReactNode } from "react";
import { Dialog } from "../kit/dialog";
import { ErrorBoundary } from "../kit/error-boundary";
import css from "./grid.module.css";

interface PanelDialogProps {
  readonly title: string;
  readonly onClose: () => void;
  /** Its settings, beside it. */
  readonly aside: ReactNode;
  readonly children: ReactNode;
}

/** One panel in full screen. */
export function PanelDialog({ title, onClose, aside, children }: PanelDialogProps) {
  return (
    <Dialog title={title} onClose={onClose} size="wide">
      <div className={css.dialog}>
        <div className={css.content}>
          <ErrorBoundary title="This chart could not be drawn">{children}</ErrorBoundary>
        </div>
        <aside>{aside}</aside>
      </div>
    </Dialog>
  );
}
