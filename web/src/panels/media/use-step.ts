import { useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useSearchChange } from "../../app/use-search-state";
import { placeOf, readStep } from "../../model/steps";

/** A slider that is moved changes the address, and with it the other panels, once it rests for this long. */
const REST_MILLIS = 120;

export interface StepChoice {
  /** Place among the steps; -1 when there are none. */
  readonly place: number;
  readonly step: number;
  readonly move: (place: number) => void;
}

/** A move that the address does not have yet. */
interface Draft {
  readonly step: number;
  /** What the address is to have: nothing for the last step, so that the end is followed wherever it moves. */
  readonly choice: number | null;
  readonly sent: boolean;
}

/** The step whose media a panel shows. The choice is part of the address and shared by all panels of the page. */
export function useStepChoice(steps: readonly number[]): StepChoice {
  const change = useSearchChange();
  const chosen = readStep(useSearch({ from: "__root__", select: (search) => search.step }));
  const [draft, setDraft] = useState<Draft | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  if (draft?.sent === true && draft.choice === chosen) setDraft(null);
  const last = steps.length - 1;
  const place = placeOf(steps, draft === null ? chosen : draft.step);
  const move = (next: number) => {
    const at = Math.min(last, Math.max(0, next));
    const step = steps[at];
    if (step === undefined) return;
    const choice = at === last ? null : step;
    setDraft({ step, choice, sent: false });
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setDraft({ step, choice, sent: true });
      change({ step: choice === null ? undefined : String(choice) });
    }, REST_MILLIS);
  };
  return { place, step: steps[place] ?? 0, move };
}
