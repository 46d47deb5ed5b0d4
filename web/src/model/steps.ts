/** Which of the logged steps is shown. */

/** Place of the step that was chosen: the last one that is not behind it, else the first; without a choice, the end. */
export function placeOf(steps: readonly number[], chosen: number | null): number {
  if (chosen === null) return steps.length - 1;
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle] ?? 0) <= chosen) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** The choice in the address; null follows the end. */
export function readStep(text: string | undefined): number | null {
  const step = Number(text ?? "x");
  return Number.isFinite(step) && text !== "" ? step : null;
}
