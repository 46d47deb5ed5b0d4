import type { PanelType } from "../types";
import { LinePanel } from "./panel";
import { type LineSettings, lineSchema } from "./schema";
import { LineSettingsForm } from "./settings";

/** One metric of many runs over steps or time. */
export const linePanel: PanelType<LineSettings> = {
  schema: lineSchema,
  Panel: LinePanel,
  Settings: LineSettingsForm,
};
