interface RunSwatchProps {
  readonly colour: string;
  /** Dash of the run's line; empty for a solid one. */
  readonly dash?: readonly number[];
  /** Whether the run's line is drawn; otherwise an empty ring. */
  readonly drawn?: boolean;
}

/** How a run's line looks: a dot of its colour, or a piece of the dashed line. */
export function RunSwatch({ colour, dash = [], drawn = true }: RunSwatchProps) {
  return (
    <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
      {!drawn && <circle cx="7" cy="7" r="4.2" fill="none" stroke="var(--line-strong)" strokeWidth="1.5" />}
      {drawn && dash.length === 0 && <circle cx="7" cy="7" r="5" fill={colour} />}
      {drawn && dash.length > 0 && (
        <path
          d="M0 7h14"
          stroke={colour}
          strokeWidth="3.5"
          strokeDasharray={dash.map((part) => part * 0.7).join(" ")}
        />
      )}
    </svg>
  );
}
