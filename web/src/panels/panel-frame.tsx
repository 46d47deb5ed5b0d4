import { type ReactNode, useRef } from "react";
import { IconButton } from "../kit/button";
import { ErrorBoundary } from "../kit/error-boundary";
import { useNear } from "../kit/use-near";
import css from "./grid.module.css";

/** How far outside the screen a panel already loads, so that scrolling meets finished charts. */
const MARGIN = "240px";

interface PanelFrameProps {
  readonly id: string;
  readonly title: string;
  /** Said beside the title, muted. */
  readonly note?: string | null;
  readonly onOpen: () => void;
  /** The panel; it exists only near the screen, and with it its requests. */
  readonly children: ReactNode;
}

/** Place of a panel in the grid. */
export function PanelFrame({ id, title, note = null, onOpen, children }: PanelFrameProps) {
  const ref = useRef<HTMLElement>(null);
  const near = useNear(ref, MARGIN);
  const name = note === null ? title : `${title}, ${note}`;
  return (
    <article ref={ref} className={css.panel} aria-label={name} data-panel={id}>
      <header>
        <h3 title={name}>
          {title}
          {note !== null && <small>{note}</small>}
        </h3>
        <IconButton icon="expand" label={`Open ${name} full screen`} onClick={onOpen} />
      </header>
      <div className={css.content}>
        {near && <ErrorBoundary title="This panel could not be drawn">{children}</ErrorBoundary>}
      </div>
    </article>
  );
}
