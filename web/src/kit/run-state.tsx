import css from "./kit.module.css";

const SHAPES = new Map([
  ["finished", "M4.5 8.5l2.5 2.5 4.5-5.5"],
  ["failed", "M5.5 5.5l5 5M10.5 5.5l-5 5"],
  ["crashed", "M8 4.5v4.5M8 11.4v.2"],
  ["killed", "M5.5 8h5"],
  ["preempting", "M6.2 5.5v5M9.8 5.5v5"],
  ["preempted", "M6.2 5.5v5M9.8 5.5v5"],
  ["pending", "M8 4.8V8l2.2 1.6"],
]);

/** State of a run: shape, colour and (unless `short`) its word. */
export function RunState({ state, short = false }: { readonly state: string; readonly short?: boolean }) {
  const known = state === "running" || SHAPES.has(state);
  return (
    <span className={`${css.state} ${known ? css[state] : css.other}`} title={short ? state : undefined}>
      <svg width="16" height="16" viewBox="0 0 16 16" fill="none" aria-hidden="true">
        <circle cx="8" cy="8" r={state === "running" ? 3 : 6.3} {...ring(state)} />
        {state === "running" && <circle cx="8" cy="8" r="7" fill="currentColor" />}
        {SHAPES.has(state) && (
          <path d={SHAPES.get(state)} stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
        )}
      </svg>
      <span className={short ? "visually-hidden" : undefined}>{state}</span>
    </span>
  );
}

function ring(state: string) {
  return state === "running" ? { fill: "currentColor" } : { stroke: "currentColor", strokeWidth: 1.3 };
}
