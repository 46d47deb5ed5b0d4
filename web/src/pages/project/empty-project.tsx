import { Notice } from "../../kit/notice";

interface EmptyProjectProps {
  readonly entity: string;
  readonly project: string;
}

export function EmptyProject({ entity, project }: EmptyProjectProps) {
  const code = [
    "import runlane",
    `with runlane.init(entity=${JSON.stringify(entity)}, project=${JSON.stringify(project)}) as run:`,
    '    run.log({"loss": 0.3})',
  ].join("\n");
  return (
    <Notice title="No runs yet" code={code}>
      A run appears here as soon as it starts; its curves follow while it trains.
    </Notice>
  );
}
