import type { RunDetail } from "../../../api/runs";
import { useNow } from "../../../app/use-now";
import { Notice, Skeleton } from "../../../kit/notice";
import { parseTime } from "../../../model/format";
import { isActive } from "./activity";
import css from "./system.module.css";

/** By then the first sample has arrived, unless nothing is sampled. */
const FIRST_SAMPLE_MILLIS = 60_000;

const HINT = `import runlane

settings = runlane.Settings(x_stats_sampling_interval=5)
run = runlane.init(project="my-project", settings=settings)`;

/** Why there is nothing to see yet, or at all. */
export function Unsampled({ run }: { readonly run: RunDetail }) {
  const now = useNow();
  const age = now - parseTime(run.createdAt);
  if (isActive(run) && age < FIRST_SAMPLE_MILLIS) {
    return (
      <div role="status">
        <Notice title="The first sample is on its way">
          It is taken as the run starts and arrives within seconds.
        </Notice>
        <div className={css.waiting} aria-hidden="true">
          <Skeleton width={160} height={4} />
        </div>
      </div>
    );
  }
  return (
    <Notice title="No system metrics" code={HINT}>
      CPU, memory, disk, network and accelerators are sampled by default, every 15 seconds. This run has sent
      none: its client was told not to (x_disable_stats, x_disable_machine_info), or is too old to.
    </Notice>
  );
}
