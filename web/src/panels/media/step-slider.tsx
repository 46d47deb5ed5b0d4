import { useId } from "react";
import { IconButton } from "../../kit/button";
import { formatCount } from "../../model/format";
import css from "./media.module.css";
import type { StepChoice } from "./use-step";

/** Up to this many steps each has a mark on the slider. */
const MAX_MARKS = 40;

interface StepSliderProps {
  readonly steps: readonly number[];
  readonly choice: StepChoice;
}

/** Chooses among the steps at which something was logged. */
export function StepSlider({ steps, choice }: StepSliderProps) {
  const marks = useId();
  const { place, step, move } = choice;
  const last = steps.length - 1;
  const text = `Step ${step.toLocaleString("en-US")}`;
  if (last < 1) {
    return (
      <div className={css.slider}>
        <output className={css.step}>{text}</output>
      </div>
    );
  }
  return (
    <div className={css.slider}>
      <IconButton
        icon="previous"
        label="Step before"
        disabled={place === 0}
        onClick={() => move(place - 1)}
      />
      <input
        type="range"
        min={0}
        max={last}
        step={1}
        value={place}
        list={last < MAX_MARKS ? marks : undefined}
        aria-label="Step"
        aria-valuetext={`${text}, ${place + 1} of ${steps.length}`}
        onChange={(event) => move(event.target.valueAsNumber)}
      />
      {last < MAX_MARKS && (
        <datalist id={marks}>
          {steps.map((at, index) => (
            <option key={at} value={index} />
          ))}
        </datalist>
      )}
      <IconButton icon="next" label="Step after" disabled={place === last} onClick={() => move(place + 1)} />
      <output className={css.step}>
        {text}
        <small>
          {formatCount(place + 1)} of {formatCount(steps.length)}
        </small>
      </output>
    </div>
  );
}
