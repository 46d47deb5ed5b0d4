import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { Button } from "../../../kit/button";
import { Icon } from "../../../kit/icon";
import { atTail } from "../../../model/log";
import { LogRow } from "./log-row";
import css from "./logs.module.css";
import type { Logs } from "./use-logs";

const LINE_PIXELS = 20;

interface LogListProps {
  readonly logs: Logs;
  /** Whether new lines may come, so that the view starts at the end and stays there. */
  readonly follow: boolean;
  /** Long lines are broken. */
  readonly wrap: boolean;
  readonly since: number | null;
}

/** Virtual list of lines; follows the tail until the reader scrolls up. */
export function LogList({ logs, follow, wrap, since }: LogListProps) {
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: heights that were measured belong to one way to break lines
  useEffect(() => virtual.measure(), [wrap]);
  const height = virtual.getTotalSize();
  useEffect(() => {
    const element = scroller.current;
    if (tail && element !== null && count > 0) element.scrollTop = height + LINE_PIXELS;
  }, [tail, count, height]);
  return (
    <div className={css.frame}>
      <div
        ref={scroller}
        className={css.lines}
        data-wrap={wrap ? "" : undefined}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scroll area must be reachable by keyboard
        tabIndex={0}
        role="log"
        aria-label="Lines"
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) =>
          setTail(atTail(scrollTop, clientHeight, scrollHeight))
        }
      >
        <div style={{ height }}>
          {virtual.getVirtualItems().map((item) => (
            <LogRow
              key={item.key}
              entry={logs.entry(item.index)}
              index={item.index}
              top={item.start}
              since={since}
              measure={wrap ? virtual.measureElement : undefined}
            />
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
