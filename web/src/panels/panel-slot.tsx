import { memo } from "react";
import type { ProjectPath } from "../api/runs";
import { useSearchChange } from "../app/use-search-state";
import { linePanel } from "./line/line-panel";
import { PanelFrame } from "./panel-frame";
import type { PanelRun } from "./types";
import { usePanelSettings } from "./use-panel-settings";

interface PanelSlotProps {
  readonly metric: string;
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
}

/** Panel of one metric in the grid. */
export const PanelSlot = memo(function PanelSlot({ metric, path, runs }: PanelSlotProps) {
  const change = useSearchChange();
  const { settings, onChange } = usePanelSettings(linePanel);
  return (
    <PanelFrame id={metric} title={metric} onOpen={() => change({ panel: metric }, "push")}>
      <linePanel.Panel path={path} runs={runs} metric={metric} settings={settings} onChange={onChange} />
    </PanelFrame>
  );
});
