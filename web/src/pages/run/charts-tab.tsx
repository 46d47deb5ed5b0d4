import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { runQuery } from "../../api/queries";
import { PanelGrid } from "../../panels/panel-grid";

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
  return <PanelGrid path={projectPath} runs={runs} pending={data === undefined} mainSearch />;
}
