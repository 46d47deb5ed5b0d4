import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef, useState } from "react";
import type { LogLine } from "../../api/logs";
import { Button } from "../../kit/button";
import { Icon } from "../../kit/icon";
import { type AnsiColour, type AnsiStyle, paletteColour, parseAnsi } from "../../model/ansi";
import { parseTime } from "../../model/format";
import { atTail } from "../../model/log";
import css from "./logs.module.css";
import type { Logs } from "./use-logs";

const LINE_PIXELS = 20;

interface LogListProps {
  readonly logs: Logs;
  /** Whether new lines may come, so that the view starts at the end and stays there. */
  readonly follow: boolean;
}

/** Virtual list of lines; follows the tail until the reader scrolls up. */
export function LogList({ logs, follow }: LogListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [tail, setTail] = useState(follow);
  const { count, show } = logs;
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PIXELS,
    overscan: 20,
    onChange: ({ range }) => {
      if (range !== null) show(range.startIndex, range.endIndex);
    },
  });
  useEffect(() => {
    const element = scroller.current;
    if (tail && element !== null && count > 0) element.scrollTop = count * LINE_PIXELS;
  }, [tail, count]);
  return (
    <div className={css.frame}>
      <div
        ref={scroller}
        className={css.lines}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scroll area must be reachable by keyboard
        tabIndex={0}
        role="log"
        aria-label="Lines"
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) =>
          setTail(atTail(scrollTop, clientHeight, scrollHeight))
        }
      >
        <div style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => (
            <LogRow key={item.key} line={logs.line(item.index)} place={item.index} top={item.start} />
          ))}
        </div>
      </div>
      {!tail && (
        <Button className={css.toEnd ?? ""} onClick={() => setTail(true)}>
          <Icon name="down" /> {follow ? "Follow" : "To the end"}
        </Button>
      )}
    </div>
  );
}

interface LogRowProps {
  readonly line: LogLine | null;
  readonly place: number;
  readonly top: number;
}

const LogRow = memo(function LogRow({ line, place, top }: LogRowProps) {
  return (
    <div
      className={css.line}
      data-level={line?.level ?? undefined}
      style={{ transform: `translateY(${top}px)` }}
    >
      <span className={css.number}>{(line?.number ?? place) + 1}</span>
      <time>{line?.timestamp == null ? "" : timeOfDay(line.timestamp)}</time>
      {line?.label != null && line.label !== "" && <b>{line.label}</b>}
      <code>
        {line === null
          ? "…"
          : parseAnsi(line.text).map((span, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: spans have no identity but their place
              <span key={index} style={spanStyle(span.style)}>
                {span.text}
              </span>
            ))}
      </code>
    </div>
  );
});

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

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function timeOfDay(iso: string): string {
  const time = parseTime(iso);
  return Number.isNaN(time) ? "" : TIME.format(time);
}
