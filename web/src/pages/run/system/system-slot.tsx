import { memo } from "react";
import type { RunPath } from "../../../api/runs";
import { useSearchChange } from "../../../app/use-search-state";
import type { SystemPanel } from "../../../model/system-sections";
import { PanelFrame } from "../../../panels/panel-frame";
import { DevicePanel } from "../../../panels/system/device-panel";
import { useTimeAxis } from "../../../panels/system/use-time-axis";

interface SystemSlotProps {
  readonly path: RunPath;
  readonly panel: SystemPanel;
}

/** Panel of one thing measured, in the grid. */
export const SystemSlot = memo(function SystemSlot({ path, panel }: SystemSlotProps) {
  const change = useSearchChange();
  const { settings, onZoom } = useTimeAxis(path, path.run);
  return (
    <PanelFrame
      id={panel.id}
      title={panel.title}
      note={panel.note}
      onOpen={() => change({ panel: panel.id }, "push")}
    >
      <DevicePanel path={path} panel={panel} settings={settings} onZoom={onZoom} />
    </PanelFrame>
  );
});
