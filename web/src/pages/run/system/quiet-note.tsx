import type { RunDetail } from "../../../api/runs";
import { useNow } from "../../../app/use-now";
import { formatDuration } from "../../../model/format";
import { quietSince } from "./activity";
import css from "./system.module.css";

/** Says that what is shown may not be all: the rest is still where the run is. */
export function QuietNote({ run }: { readonly run: RunDetail }) {
  const now = useNow();
  const since = quietSince(run, now);
  if (since === null) return null;
  const long = formatDuration(Math.max(60, Math.round((now - since) / 60_000) * 60));
  return (
    <p className={css.note} role="status">
      Nothing heard of this run for {long}. What it sampled since is still on{" "}
      {run.host === null ? "its machine" : <code>{run.host}</code>} and shows up here when it reaches this
      server.
    </p>
  );
}
