import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { fileUrl } from "../../api/files";
import type { ImageItem } from "../../api/media";
import { fileStateQuery } from "../../api/queries";
import { Failure } from "../../kit/notice";
import { ImageLayers } from "./image-layers";
import type { ShownLayers } from "./layer-bar";
import css from "./media.module.css";
import { MissingFile } from "./media-content";
import type { MediaRun } from "./media-panel";

/** Images up to this many pixels are shown with their pixels as squares, not blurred. */
const SMALL_PIXELS = 160;

interface ImageViewProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly shown: ShownLayers;
  readonly image: ImageItem;
  readonly name: string;
  readonly onOpen?: () => void;
}

/** One image with the layers over it, and its caption; a press opens it. */
export function ImageView({ of, metric, shown, image, name, onOpen }: ImageViewProps) {
  const [failed, setFailed] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  const retry = useCallback(() => {
    setAttempt((before) => before + 1);
    setFailed(null);
  }, []);
  const url = image.path === null ? null : fileUrl(of.path, image.path);
  const caption = image.caption !== null && <figcaption title={image.caption}>{image.caption}</figcaption>;
  if (url === null || failed === url) {
    return (
      <figure className={css.image}>
        <div className={css.frame}>
          {url === null ? (
            <span className={css.absent}>in an artifact</span>
          ) : (
            <Trouble url={url} live={of.live} onRetry={retry} />
          )}
        </div>
        {caption}
      </figure>
    );
  }
  const picture = (
    <Picture
      key={attempt}
      of={of}
      metric={metric}
      shown={shown}
      image={image}
      name={name}
      url={url}
      onFail={() => setFailed(url)}
    />
  );
  return (
    <figure className={css.image}>
      {onOpen === undefined ? (
        <div className={css.frame}>{picture}</div>
      ) : (
        <button type="button" className={css.frame} aria-label={`Enlarge ${name}`} onClick={onOpen}>
          {picture}
        </button>
      )}
      {caption}
    </figure>
  );
}

interface PictureProps extends Omit<ImageViewProps, "onOpen"> {
  readonly url: string;
  readonly onFail: () => void;
}

function Picture({ of, metric, shown, image, name, url, onFail }: PictureProps) {
  const [size, setSize] = useState<readonly [number, number] | null>(null);
  const [width, height] = [image.width ?? size?.[0] ?? null, image.height ?? size?.[1] ?? null];
  const small = width !== null && height !== null && Math.max(width, height) <= SMALL_PIXELS;
  return (
    <>
      <img
        src={url}
        alt={name}
        width={width ?? undefined}
        height={height ?? undefined}
        loading="lazy"
        decoding="async"
        data-small={small}
        onLoad={({ currentTarget }) => setSize([currentTarget.naturalWidth, currentTarget.naturalHeight])}
        onError={onFail}
      />
      {size !== null && image.masks.length + image.boxes.length > 0 && (
        <ImageLayers of={of} metric={metric} image={image} shown={shown} size={size} />
      )}
    </>
  );
}

interface TroubleProps {
  readonly url: string;
  readonly live: boolean;
  readonly onRetry: () => void;
}

/** Why an image does not show: it is not there (yet), or it is damaged. */
function Trouble({ url, live, onRetry }: TroubleProps) {
  const file = useQuery(fileStateQuery(url, live));
  // the first answer explains the failure; a later one that it is there means that it has arrived
  const [wasMissing, setWasMissing] = useState(false);
  const arrived = wasMissing && file.data === "there";
  useEffect(() => {
    if (arrived) onRetry();
  }, [arrived, onRetry]);
  if (file.data === "missing") {
    if (!wasMissing) setWasMissing(true);
    return <MissingFile live={live} onRetry={() => void file.refetch()} />;
  }
  if (file.data === undefined && file.error === null) return null;
  const error = file.error ?? new Error("the file is damaged, or of a format that the browser does not know");
  return <Failure compact title="The image could not be shown" error={error} onRetry={onRetry} />;
}
