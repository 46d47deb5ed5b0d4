import { createStore } from "./store";

/** The run (or, among system metrics, the device) under the pointer, in a plot or in a list; plots make it stand out. */
export const hoveredGroup = createStore<string | null>(null);
