import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { ClassLabels } from "../../api/class-labels";
import type { MediaKind } from "../../api/media";
import { keyStepsQuery, mediaValueQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { HistogramPanel } from "./histogram";
import css from "./media.module.css";
import { MediaContent } from "./media-content";
import { StepSlider } from "./step-slider";
import { useStepChoice } from "./use-step";

/** The run whose media are shown. */
export interface MediaRun {
  readonly path: RunPath;
  /** Whether it may still upload files. */
  readonly live: boolean;
  readonly classLabels: ClassLabels;
}

interface MediaPanelProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly kind: MediaKind;
  /** Whether it has the screen to itself. */
  readonly full?: boolean;
}

/** The media of one key at the chosen step; only that step's files are fetched. */
export function MediaPanel({ of, metric, kind, full = false }: MediaPanelProps) {
  if (kind === "histogram") return <HistogramPanel path={of.path} metric={metric} />;
  return <SteppedPanel of={of} metric={metric} full={full} />;
}

interface SteppedPanelProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly full: boolean;
}

function SteppedPanel({ of, metric, full }: SteppedPanelProps) {
  const { data: steps, error, refetch } = useQuery(keyStepsQuery(of.path, metric));
  const choice = useStepChoice(steps ?? NO_STEPS);
  if (steps === undefined) {
    if (error === null) return <MediaSkeleton />;
    return <Failure compact title="Steps could not be loaded" error={error} onRetry={() => void refetch()} />;
  }
  if (steps.length === 0) {
    return (
      <Notice compact title="Nothing logged">
        The run has no value of this key any more.
      </Notice>
    );
  }
  return (
    <div className={css.panel}>
      <MediaAtStep of={of} metric={metric} step={choice.step} full={full} />
      <StepSlider steps={steps} choice={choice} />
    </div>
  );
}

const NO_STEPS: readonly number[] = [];

interface MediaAtStepProps extends SteppedPanelProps {
  readonly step: number;
}

function MediaAtStep({ of, metric, step, full }: MediaAtStepProps) {
  // the picture before stays until the next one is there: a slider must not flicker
  const value = useQuery({ ...mediaValueQuery(of.path, metric, step), placeholderData: keepPreviousData });
  if (value.data === undefined) {
    if (value.error !== null) {
      return (
        <div className={css.content}>
          <Failure
            compact
            title="The value could not be shown"
            error={value.error}
            onRetry={() => void value.refetch()}
          />
        </div>
      );
    }
    return <MediaSkeleton />;
  }
  if (value.data === null) {
    return (
      <div className={css.content}>
        <Notice compact title="Nothing at this step" />
      </div>
    );
  }
  return (
    <div className={css.content} aria-busy={value.isPlaceholderData}>
      <MediaContent of={of} metric={metric} value={value.data} full={full} />
    </div>
  );
}

function MediaSkeleton() {
  return (
    <div className={css.skeleton}>
      <Skeleton height="100%" />
    </div>
  );
}
