import { useSyncExternalStore } from "react";
import { createStore } from "../model/store";

const TICK_MILLIS = 30_000;
const now = createStore(Date.now());
let users = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  const stop = now.subscribe(listener);
  users += 1;
  if (users === 1) {
    now.set(Date.now());
    timer = setInterval(() => now.set(Date.now()), TICK_MILLIS);
  }
  return () => {
    stop();
    users -= 1;
    if (users === 0) clearInterval(timer);
  };
}

/** The time in milliseconds, renewed twice a minute: for texts such as "4m ago". */
export function useNow(): number {
  return useSyncExternalStore(subscribe, now.get);
}
