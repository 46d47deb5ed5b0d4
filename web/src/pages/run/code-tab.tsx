import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import type { RunFile } from "../../api/files";
import { filesQuery } from "../../api/queries";
import { Failure, Notice } from "../../kit/notice";
import { FileBrowser } from "./file-browser";

/** Files that say which code ran, and in which environment, besides those below `code/`. */
const OF_THE_CODE =
  /^(code\/.*|[^/]+\.patch|snapshot\.bundle|requirements\.txt|conda-environment\.yaml|uv\.lock|pyproject\.toml|\.python-version)$/;

export function RunCode() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const files = useQuery(filesQuery(path));
  const code = useMemo(() => files.data?.filter(isCode), [files.data]);
  if (files.data === undefined && files.isError) {
    return (
      <Failure title="Code could not be loaded" error={files.error} onRetry={() => void files.refetch()} />
    );
  }
  if (code?.some(({ name }) => name.startsWith("code/") || name.endsWith(".patch")) === false) {
    return (
      <Notice title="No code" code={"run = runlane.init(save_code=True)"}>
        The program and uncommitted changes of its repository that a run saves show up here. What
        `run.log_code(&quot;.&quot;)` logs is an artifact.
      </Notice>
    );
  }
  return <FileBrowser path={path} files={code} label="Code" compares />;
}

function isCode({ name }: RunFile): boolean {
  return OF_THE_CODE.test(name);
}
