/** What a panel type is: adding one means adding one folder beside this file. */

import type { ComponentType } from "react";
import type { ProjectPath } from "../api/runs";

/** A run as panels see it. */
export interface PanelRun {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
}

export interface PanelProps<Settings> {
  readonly path: ProjectPath;
  readonly runs: readonly PanelRun[];
  /** The metric that the panel shows. */
  readonly metric: string;
  readonly settings: Settings;
  readonly onChange: (patch: Partial<Settings>, place: "push" | "replace") => void;
}

export interface SettingsProps<Settings> {
  readonly settings: Settings;
  readonly onChange: (patch: Partial<Settings>, place: "push" | "replace") => void;
}

/** Reads settings from the text of the URL and back; unknown text falls back to the default. */
export interface SettingsSchema<Settings> {
  readonly read: (text: (name: string) => string | undefined) => Settings;
  readonly write: (settings: Settings) => Record<string, string | undefined>;
}

export interface PanelType<Settings> {
  readonly schema: SettingsSchema<Settings>;
  /** Loads and draws the panel. */
  readonly Panel: ComponentType<PanelProps<Settings>>;
  readonly Settings: ComponentType<SettingsProps<Settings>>;
}
