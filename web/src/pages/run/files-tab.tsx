import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { filesQuery } from "../../api/queries";
import { Failure, Notice } from "../../kit/notice";
import { FileBrowser } from "./file-browser";

export function RunFiles() {
  const path = useParams({ from: "/$entity/$project/runs/$run" });
  const files = useQuery(filesQuery(path));
  if (files.data === undefined && files.isError) {
    return (
      <Failure title="Files could not be loaded" error={files.error} onRetry={() => void files.refetch()} />
    );
  }
  if (files.data?.length === 0) {
    return (
      <Notice title="No files" code={'run.save("model.pt")\nrun.save("configs/*.yaml", policy="now")'}>
        Files that a run saves, and the console log at its end, show up here.
      </Notice>
    );
  }
  return <FileBrowser path={path} files={files.data} label="Files" />;
}
