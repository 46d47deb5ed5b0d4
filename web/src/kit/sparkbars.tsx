interface SparkbarsProps {
  readonly label: string;
  readonly values: readonly number[];
}

const HEIGHT = 20;
const PITCH = 6;

/** Small bars without axes: a shape to compare, not to read off. */
export function Sparkbars({ label, values }: SparkbarsProps) {
  const most = Math.max(1, ...values);
  return (
    <svg width={values.length * PITCH} height={HEIGHT} role="img" aria-label={label}>
      <title>{label}</title>
      {values.map((value, index) => {
        const height = value === 0 ? 1 : Math.max(3, (value / most) * HEIGHT);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place
            key={index}
            x={index * PITCH}
            y={HEIGHT - height}
            width={PITCH - 2}
            height={height}
            fill={value === 0 ? "var(--line-strong)" : "var(--accent)"}
          />
        );
      })}
    </svg>
  );
}
