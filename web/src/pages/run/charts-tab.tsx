import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import type { ClassLabels } from "../../api/class-labels";
import { runQuery } from "../../api/queries";
import { PanelGrid } from "../../panels/panel-grid";

const NO_LABELS: ClassLabels = new Map();

export function RunCharts() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const { data } = useQuery(runQuery(path));
  const name = data?.displayName;
  const createdAt = data?.createdAt;
  const runs = useMemo(
    () => (name === undefined || createdAt === undefined ? [] : [{ id: path.run, name, createdAt }]),
    [path.run, name, createdAt],
  );
  const { entity, project } = path;
  const projectPath = useMemo(() => ({ entity, project }), [entity, project]);
  const live = data?.state === "running";
  const classLabels = data?.classLabels;
  const mediaOf = useMemo(
    () => ({ path, live, classLabels: classLabels ?? NO_LABELS }),
    [path, live, classLabels],
  );
  return (
    <PanelGrid path={projectPath} runs={runs} pending={data === undefined} mainSearch mediaOf={mediaOf} />
  );
}
