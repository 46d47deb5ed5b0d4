import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { stopRun } from "../../api/alerts";
import type { RunDetail, RunPath } from "../../api/runs";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import css from "./stop-run.module.css";

interface StopRunProps {
  readonly path: RunPath;
  readonly run: Pick<RunDetail, "storageId" | "displayName" | "state" | "stopRequested">;
}

/** Asks a running run to stop, after a question; nothing for a run that has ended. */
export function StopRun({ path, run }: StopRunProps) {
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  if (run.state !== "running" && run.state !== "preempting") return null;
  if (run.stopRequested) {
    return (
      <span className={css.waiting} role="status">
        stopping…
      </span>
    );
  }
  const stop = async () => {
    try {
      await stopRun(run.storageId);
      setAsking(false);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
    await client.invalidateQueries({ queryKey: ["run", path.entity, path.project, path.run] });
  };
  return (
    <>
      <Button className={css.button} onClick={() => setAsking(true)}>
        Stop run
      </Button>
      {asking && (
        <Dialog title={`Stop ${run.displayName}?`} onClose={() => setAsking(false)}>
          <div className={css.question}>
            <div>
              Its training process is interrupted as by Ctrl-C, within a second or so. What it has logged is
              kept, and the run ends as <em>killed</em>.
            </div>
            {problem !== null && (
              <div className={css.problem} role="alert">
                The run could not be asked to stop: {problem}
              </div>
            )}
            <footer>
              <Button onClick={() => setAsking(false)}>Keep it running</Button>
              <Button kind="primary" onClick={() => void stop()}>
                Stop run
              </Button>
            </footer>
          </div>
        </Dialog>
      )}
    </>
  );
}
