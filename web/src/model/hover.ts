import { createStore } from "./store";

/** Id of the run under the pointer, in a plot or in a list; plots make it stand out. */
export const hoveredRun = createStore<string | null>(null);
