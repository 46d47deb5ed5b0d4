import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fileUrl, type RunFile } from "../../api/files";
import { PREVIEW_BYTES, textPreviewQuery } from "../../api/queries";
import type { RunPath } from "../../api/runs";
import { IconButton } from "../../kit/button";
import { Icon } from "../../kit/icon";
import kit from "../../kit/kit.module.css";
import { Failure, Notice, Skeleton } from "../../kit/notice";
import { previewOf } from "../../model/file-tree";
import { formatBytes, formatTime } from "../../model/format";
import css from "./files.module.css";
import { Highlighted } from "./highlighted";

interface FilePreviewProps {
  readonly path: RunPath;
  readonly file: RunFile;
  readonly onClose: () => void;
}

export function FilePreview({ path, file, onClose }: FilePreviewProps) {
  const kind = previewOf(file.name);
  return (
    <section className={css.preview} aria-label={file.name}>
      <header>
        <IconButton icon="close" label="Close the file" onClick={onClose} />
        <h2 title={file.name}>{file.name}</h2>
        <small>
          {formatBytes(file.sizeBytes)}
          {file.updatedAt !== null && ` · ${formatTime(file.updatedAt)}`}
        </small>
        <a className={kit.button} href={fileUrl(path, file.name, true)} download>
          <Icon name="download" /> Download
        </a>
      </header>
      {kind === "text" && <TextPreview path={path} file={file} />}
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

function TextPreview({ path, file }: ContentProps) {
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
