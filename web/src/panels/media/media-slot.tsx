import { lazy, memo, Suspense } from "react";
import type { MediaKind } from "../../api/media";
import { useSearchChange } from "../../app/use-search-state";
import { Skeleton } from "../../kit/notice";
import { PanelFrame } from "../panel-frame";
import type { MediaRun } from "./media-panel";
import slot from "./slot.module.css";

// pages without media do without their panels
const MediaPanel = lazy(() => import("./media-panel").then((module) => ({ default: module.MediaPanel })));

interface MediaSlotProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly kind: MediaKind;
}

/** Panel of one key's media in the grid. */
export const MediaSlot = memo(function MediaSlot(props: MediaSlotProps) {
  const change = useSearchChange();
  const { metric } = props;
  return (
    <PanelFrame id={metric} title={metric} onOpen={() => change({ panel: metric }, "push")}>
      <MediaView {...props} />
    </PanelFrame>
  );
});

interface MediaViewProps extends MediaSlotProps {
  /** Whether it has the screen to itself. */
  readonly full?: boolean;
}

export function MediaView(props: MediaViewProps) {
  const waiting = (
    <div className={slot.waiting}>
      <Skeleton height="100%" />
    </div>
  );
  return (
    <Suspense fallback={waiting}>
      <MediaPanel {...props} />
    </Suspense>
  );
}
