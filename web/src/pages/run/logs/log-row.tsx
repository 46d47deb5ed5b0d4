import { memo, type Ref } from "react";
import { type AnsiColour, type AnsiStyle, paletteColour, parseAnsi } from "../../../model/ansi";
import { formatCount } from "../../../model/format";
import { elapsed, fullTime, timeOfDay } from "../../../model/log";
import css from "./logs.module.css";
import type { LogEntry } from "./use-logs";

interface LogRowProps {
  readonly entry: LogEntry;
  readonly index: number;
  readonly top: number;
  /** Milliseconds since 1970 to count times from; null shows the time of day. */
  readonly since: number | null;
  /** Measures the row, where lines are broken. */
  readonly measure: Ref<HTMLDivElement> | undefined;
}

export const LogRow = memo(function LogRow({ entry, index, top, since, measure }: LogRowProps) {
  const place = { ref: measure ?? null, "data-index": index, style: { transform: `translateY(${top}px)` } };
  if (entry.kind === "gap") {
    const [from, to] = entry.gap;
    return (
      <div {...place} className={`${css.line} ${css.gap}`}>
        {formatCount(to - from)} lines are not kept: the log is too long. The run’s transaction log has them.
      </div>
    );
  }
  const { line, number } = entry;
  const stamp = line?.timestamp ?? null;
  return (
    <div {...place} className={css.line} data-level={line?.level ?? undefined}>
      <span className={css.number} title={line?.level === "error" ? "standard error" : undefined}>
        {number + 1}
      </span>
      <time title={fullTime(stamp)}>{since === null ? timeOfDay(stamp) : elapsed(stamp, since)}</time>
      {line?.label != null && line.label !== "" && <b>{line.label}</b>}
      <code>
        {line === null
          ? "…"
          : parseAnsi(line.text).map((span, place) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: spans have no identity but their place
              <span key={place} style={spanStyle(span.style)}>
                {span.text}
              </span>
            ))}
      </code>
    </div>
  );
}, isSame);

/** Entries are made anew with each render; lines stay the same objects until they are loaded again. */
function isSame(before: LogRowProps, after: LogRowProps): boolean {
  const [one, other] = [before.entry, after.entry];
  const same =
    one.kind === "gap" || other.kind === "gap"
      ? one.kind === other.kind && one.kind === "gap" && other.kind === "gap" && one.gap[1] === other.gap[1]
      : one.line === other.line && one.number === other.number;
  return (
    same &&
    before.index === after.index &&
    before.top === after.top &&
    before.since === after.since &&
    before.measure === after.measure
  );
}

function spanStyle(style: AnsiStyle) {
  const fg = style.fg === null ? undefined : colourOf(style.fg);
  const bg = style.bg === null ? undefined : colourOf(style.bg);
  return {
    color: style.inverse ? (bg ?? "var(--surface)") : fg,
    background: style.inverse ? (fg ?? "var(--text)") : bg,
    fontWeight: style.bold ? "var(--strong)" : undefined,
    opacity: style.dim ? 0.7 : undefined,
    fontStyle: style.italic ? "italic" : undefined,
    textDecoration: style.underline ? "underline" : undefined,
  };
}

function colourOf(colour: AnsiColour): string {
  if (typeof colour === "string") return colour;
  return colour < 16 ? `var(--ansi-${colour})` : paletteColour(colour);
}
