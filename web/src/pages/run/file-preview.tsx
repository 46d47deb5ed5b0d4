import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fileUrl, type RunFile } from "../../api/files";
import { PREVIEW_BYTES, textPreviewQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { useSearchState } from "../../app/use-search-state";
import { IconButton } from "../../kit/button";
import { Icon } from "../../kit/icon";
import kit from "../../kit/kit.module.css";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { previewOf } from "../../model/file-tree";
import { formatBytes, formatTime } from "../../model/format";
import { CodeDiff, CompareSelect } from "./code-compare";
import css from "./files.module.css";
import { Highlighted } from "./highlighted";

interface FilePreviewProps {
  readonly path: RunPath;
  readonly file: RunFile;
  readonly compares: boolean;
  readonly onClose: () => void;
}

export function FilePreview({ path, file, compares, onClose }: FilePreviewProps) {
  const kind = previewOf(file.name);
  const [search] = useSearchState();
  return (
    <section className={css.preview} aria-label={file.name}>
      <header>
        <IconButton icon="close" label="Close the file" onClick={onClose} />
        <h2 title={file.name}>{file.name}</h2>
        <small>
          {formatBytes(file.sizeBytes)}
          {file.updatedAt !== null && ` · ${formatTime(file.updatedAt)}`}
        </small>
        {compares && kind === "text" && <CompareSelect path={path} />}
        <a className={kit.button} href={fileUrl(path, file.name, true)} download>
          <Icon name="download" /> Download
        </a>
      </header>
      {kind === "text" && <TextPreview path={path} file={file} other={compares ? search.with : undefined} />}
      {kind === "image" && <ImagePreview key={file.name} path={path} file={file} />}
      {kind === "none" && (
        <Notice title="No preview">Files of this kind are not shown; download it to open it.</Notice>
      )}
    </section>
  );
}

interface ContentProps {
  readonly path: RunPath;
  readonly file: RunFile;
}

interface TextProps extends ContentProps {
  /** The run to compare with. */
  readonly other: string | undefined;
}

function TextPreview({ path, file, other }: TextProps) {
  const preview = useQuery(textPreviewQuery(path, file.name));
  if (preview.isError && preview.data === undefined) {
    return (
      <Failure
        title="The file could not be loaded"
        error={preview.error}
        onRetry={() => void preview.refetch()}
      />
    );
  }
  if (preview.data === undefined) {
    return (
      <div className={css.skeleton}>
        <Skeleton width="60%" />
        <Skeleton width="42%" />
        <Skeleton width="54%" />
      </div>
    );
  }
  const { text, cut } = preview.data;
  if (text.includes("\0")) return <Notice title="No preview">The file is not text.</Notice>;
  if (other !== undefined) return <CodeDiff path={path} other={other} name={file.name} text={text} />;
  return (
    <div className={css.text}>
      <Highlighted name={file.name} text={text} />
      {cut && <p>Only the first {formatBytes(PREVIEW_BYTES)} are shown.</p>}
    </div>
  );
}

function ImagePreview({ path, file }: ContentProps) {
  const [failed, setFailed] = useState(false);
  const [attempt, setAttempt] = useState(0);
  if (failed) {
    const retry = () => {
      setAttempt(attempt + 1);
      setFailed(false);
    };
    return (
      <Failure
        title="The image could not be shown"
        error={new Error("it is missing or damaged")}
        onRetry={retry}
      />
    );
  }
  return (
    <div className={css.image}>
      <img key={attempt} src={fileUrl(path, file.name)} alt={file.name} onError={() => setFailed(true)} />
    </div>
  );
}
