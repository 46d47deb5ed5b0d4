import { useQuery } from "@tanstack/react-query";
import { fileUrl } from "../../api/files";
import { ApiError } from "../../api/http";
import type { MediaItem, MediaValue } from "../../api/media";
import { fileStateQuery } from "../../api/queries";
import { Icon } from "../../kit/icon";
import kit from "../../kit/kit.module.css";
import { Failure, Notice } from "../../kit/notice";
import { formatBytes } from "../../model/format";
import { ImageList } from "./images";
import css from "./media.module.css";
import type { MediaRun } from "./media-panel";
import { TableFile } from "./table/table-file";

interface MediaContentProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly value: MediaValue;
  readonly full: boolean;
}

/** A media value as its kind is shown. */
export function MediaContent({ of, metric, value, full }: MediaContentProps) {
  switch (value.kind) {
    case "images":
      return <ImageList of={of} metric={metric} images={value.items} full={full} />;
    case "table":
      return <TableFile of={of} metric={metric} table={value} full={full} />;
    case "histogram":
      // histograms have a panel of their own, over all steps
      return null;
    default:
      if (value.items.length === 0) return <Notice compact title="An empty list" />;
      return (
        <ul className={css.items} data-kind={value.kind} data-single={value.items.length === 1}>
          {value.items.map((item, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: items have no names of their own, and their order is what they are
            <li key={index}>
              <Item of={of} metric={metric} value={value} item={item} />
            </li>
          ))}
        </ul>
      );
  }
}

interface ItemProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly value: Exclude<MediaValue, { readonly kind: "images" | "table" | "histogram" }>;
  readonly item: MediaItem;
}

function Item({ of, metric, value, item }: ItemProps) {
  if (item.path === null) {
    return (
      <Notice compact title="In an artifact">
        The run has no file of its own for it; its artifact has the bytes.
      </Notice>
    );
  }
  const url = fileUrl(of.path, item.path);
  const name = item.caption ?? metric;
  return (
    <figure className={css.figure}>
      <ItemBody of={of} value={value} item={item} url={url} name={name} path={item.path} />
      {item.caption !== null && <figcaption title={item.caption}>{item.caption}</figcaption>}
    </figure>
  );
}

interface ItemBodyProps extends Omit<ItemProps, "metric"> {
  readonly url: string;
  readonly name: string;
  readonly path: string;
}

function ItemBody({ of, value, item, url, name, path }: ItemBodyProps) {
  switch (value.kind) {
    case "audio":
      return (
        <WithFile of={of} url={url}>
          {/* biome-ignore lint/a11y/useMediaCaption: what people log has no captions of its own */}
          <audio controls preload="metadata" src={url} aria-label={name} />
        </WithFile>
      );
    case "video":
      return (
        <WithFile of={of} url={url}>
          {path.endsWith(".gif") ? (
            <img src={url} alt={name} className={css.video} />
          ) : (
            // biome-ignore lint/a11y/useMediaCaption: what people log has no captions of its own
            <video controls preload="metadata" src={url} aria-label={name} className={css.video} />
          )}
        </WithFile>
      );
    case "html":
      return (
        <WithFile of={of} url={url}>
          {/* no `allow-same-origin`: the page must not be able to act for whoever looks at it */}
          <iframe
            className={css.html}
            sandbox="allow-scripts"
            src={`${url}?frame=1`}
            title={name}
            loading="lazy"
          />
        </WithFile>
      );
    case "file":
      return <FileCard type={value.type} path={path} sizeBytes={item.sizeBytes} url={url} />;
  }
}

interface WithFileProps {
  readonly of: MediaRun;
  readonly url: string;
  readonly children: React.ReactNode;
}

/** Shows the children once the file is known to be there: players say nothing about one that is not. */
export function WithFile({ of, url, children }: WithFileProps) {
  const file = useQuery(fileStateQuery(url, of.live));
  if (file.data === "there") return children;
  if (file.data === "missing") return <MissingFile live={of.live} onRetry={() => void file.refetch()} />;
  if (file.error !== null) {
    return (
      <Failure
        compact
        title="The file could not be loaded"
        error={file.error}
        onRetry={() => void file.refetch()}
      />
    );
  }
  return <span className={css.waiting} role="status" aria-label="Loading" />;
}

interface MissingFileProps {
  readonly live: boolean;
  readonly onRetry: () => void;
}

/** The row is there and its file is not. */
export function MissingFile({ live, onRetry }: MissingFileProps) {
  if (live) {
    return (
      <Notice compact title="Not uploaded yet">
        The file is still on its way from the machine of the run.
      </Notice>
    );
  }
  const error = new ApiError(404, "the run ended before it was uploaded, or it was deleted");
  return <Failure compact title="The file is missing" error={error} onRetry={onRetry} />;
}

const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ["plotly", "Plotly figure"],
  ["bokeh", "Bokeh figure"],
  ["molecule", "Molecule"],
  ["object3D", "3D object"],
  ["graph", "Model graph"],
]);

interface FileCardProps {
  readonly type: string;
  readonly path: string;
  readonly sizeBytes: number | null;
  readonly url: string;
}

/** A file of a kind that the app does not draw. */
function FileCard({ type, path, sizeBytes, url }: FileCardProps) {
  return (
    <div className={css.card}>
      <Icon name="file" />
      <div>
        <strong>{TYPE_NAMES.get(type) ?? type}</strong>
        <small title={path}>
          {path.slice(path.lastIndexOf("/") + 1)}
          {sizeBytes !== null && ` · ${formatBytes(sizeBytes)}`}
        </small>
        <small>Its viewer is not part of the app yet.</small>
      </div>
      <a className={kit.button} href={`${url}?download=1`} download>
        <Icon name="download" /> Download
      </a>
    </div>
  );
}
