import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { seriesQuery } from "../../api/queries";
import type { ProjectPath } from "../../api/runs";
import type { Range, Series, Stream, XAxis } from "../../api/series";
import { linePanel } from "../line/line-panel";
import type { LineSettings } from "../line/schema";
import { usePanelSettings } from "../use-panel-settings";

export interface TimeAxis {
  /** Settings for plots over time: never over steps, never smoothed. */
  readonly settings: LineSettings;
  readonly onZoom: (zoom: Range | null) => void;
  /** Changes the axis; what is zoomed to stays in sight. */
  readonly setAxis: (axis: "_runtime" | "_timestamp") => Promise<void>;
}

/**
 * The x axis and zoom of the charts, as time: samples have no step. Charts over steps are shown over the relative time; the
 * range of time in which the run logged the steps that they are zoomed to takes the place of the zoom.
 */
export function useTimeAxis({ entity, project }: ProjectPath, run: string | null): TimeAxis {
  const { settings: own, onChange } = usePanelSettings(linePanel);
  const client = useQueryClient();
  const steps = own.xAxis === "_step" ? own.zoom : null;
  const translation = useCallback(
    // one bucket over the range says the smallest and largest value of the other axis in it
    (stream: Stream, x: XAxis, key: XAxis, range: Range | null) =>
      seriesQuery({ entity, project, run: run ?? "", key, stream, rate: false, x, range, buckets: 1 }),
    [entity, project, run],
  );
  const times = useQuery({
    ...translation("history", "_step", "_runtime", steps),
    enabled: steps !== null && run !== null,
    select: extentOf,
  });
  const inTime = steps === null ? null : (times.data ?? null);
  const settings = useMemo(
    (): LineSettings => ({
      ...own,
      xAxis: own.xAxis === "_timestamp" ? "_timestamp" : "_runtime",
      zoom: own.xAxis === "_step" ? inTime : own.zoom,
      smoothing: 0,
      logY: false,
    }),
    [own, inTime],
  );
  const { xAxis, zoom: shown } = settings;
  const onZoom = useCallback(
    // the charts follow: a zoom is in the unit of its axis
    (zoom: Range | null) => onChange(zoom === null ? { zoom } : { xAxis, zoom }, "push"),
    [onChange, xAxis],
  );
  const setAxis = useCallback(
    async (axis: "_runtime" | "_timestamp") => {
      if (axis === xAxis) return;
      let zoom: Range | null = null;
      if (shown !== null && run !== null) {
        // without an answer the new axis shows everything
        const found = await client.fetchQuery(translation("events", xAxis, axis, shown)).catch(() => null);
        zoom = found === null ? null : extentOf(found);
      }
      onChange({ xAxis: axis, zoom }, "push");
    },
    [client, translation, onChange, xAxis, shown, run],
  );
  return { settings, onZoom, setAxis };
}

function extentOf({ min, max }: Series): Range | null {
  const low = Math.min(...min);
  const high = Math.max(...max);
  return low < high ? [low, high] : null;
}
