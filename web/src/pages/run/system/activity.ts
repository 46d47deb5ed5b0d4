import type { RunDetail } from "../../../api/runs";
import { parseTime } from "../../../model/format";

/** A client says that it is alive at least twice a minute. */
const QUIET_MILLIS = 120_000;

export function isActive({ state }: Pick<RunDetail, "state">): boolean {
  return state === "running" || state === "preempting" || state === "pending";
}

/**
 * Since when nothing has been heard of a run that has not ended by its own account, in milliseconds since 1970; null for a
 * run that is heard of or has ended. What it sampled since is still on its machine.
 */
export function quietSince(
  run: Pick<RunDetail, "state" | "heartbeatAt" | "exitCode">,
  nowMillis: number,
): number | null {
  if (run.heartbeatAt === null) return null;
  const heard = parseTime(run.heartbeatAt);
  const lost = run.state === "crashed" && run.exitCode === null;
  const quiet = isActive(run) && nowMillis - heard > QUIET_MILLIS;
  return lost || quiet ? heard : null;
}
