import { useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { Failure } from "../../kit/notice";
import { PanelGrid } from "../../panels/panel-grid";
import { EmptyProject } from "./empty-project";
import css from "./project.module.css";
import { RunSidebar } from "./run-sidebar";
import { useWorkspace } from "./use-workspace";

export function WorkspacePage() {
  const { entity, project } = useParams({ from: "/$entity/$project" });
  const path = useMemo(() => ({ entity, project }), [entity, project]);
  const workspace = useWorkspace(path);
  const [open, setOpen] = useState(false);
  const { runs, drawn } = workspace;
  const panelRuns = useMemo(
    () => drawn.map((row) => ({ id: row.name, name: row.displayName, createdAt: row.createdAt })),
    [drawn],
  );
  if (runs.error !== null && runs.rows.length === 0) {
    return <Failure title="Runs could not be loaded" error={runs.error} onRetry={runs.retry} />;
  }
  if (!runs.pending && runs.rows.length === 0) return <EmptyProject entity={entity} project={project} />;
  return (
    <div className={css.workspace} data-open={open}>
      <RunSidebar workspace={workspace} onClose={() => setOpen(false)} />
      <PanelGrid
        path={workspace.path}
        runs={panelRuns}
        pending={runs.pending}
        onShowRuns={() => setOpen(true)}
        systemMetrics
      />
    </div>
  );
}
