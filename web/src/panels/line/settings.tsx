import { Segmented } from "../../kit/segmented";
import type { SettingsProps } from "../types";
import css from "./line.module.css";
import { type LineSettings, MAX_SMOOTHING } from "./schema";

const ALL_AXES = [
  ["_step", "Step"],
  ["_runtime", "Relative"],
  ["_timestamp", "Wall time"],
] as const;

export function LineSettingsForm({ settings, onChange }: SettingsProps<LineSettings>) {
  return (
    <div className={css.form}>
      <div>
        <h3>X axis</h3>
        <Segmented
          label="X axis"
          value={settings.xAxis}
          options={ALL_AXES}
          onChange={(xAxis) => onChange({ xAxis, zoom: null }, "push")}
        />
      </div>
      <div>
        <h3>Y axis</h3>
        <Segmented
          label="Y axis"
          value={settings.logY ? "log" : "linear"}
          options={[
            ["linear", "Linear"],
            ["log", "Logarithmic"],
          ]}
          onChange={(scale) => onChange({ logY: scale === "log" }, "replace")}
        />
      </div>
      <div>
        <h3>Min–max band</h3>
        <Segmented
          label="Min–max band"
          value={settings.band}
          options={[
            ["always", "Always"],
            ["hover", "On hover"],
            ["never", "Never"],
          ]}
          onChange={(band) => onChange({ band }, "replace")}
        />
      </div>
      <label>
        <span>
          <h3>Smoothing</h3>
          <output>{settings.smoothing === 0 ? "off" : settings.smoothing.toFixed(2)}</output>
        </span>
        <input
          type="range"
          min={0}
          max={MAX_SMOOTHING}
          step={0.01}
          value={settings.smoothing}
          aria-label="Smoothing"
          onChange={(event) => onChange({ smoothing: event.target.valueAsNumber }, "replace")}
        />
        <small>Exponential moving average; the data stays visible behind it.</small>
      </label>
    </div>
  );
}
