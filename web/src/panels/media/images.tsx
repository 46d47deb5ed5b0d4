import { useState } from "react";
import type { ImageItem } from "../../api/media";
import { useSearchState } from "../../app/use-search-state";
import { Button, IconButton } from "../../kit/button";
import { Icon } from "../../kit/icon";
import { Notice } from "../../kit/notice";
import { formatCount } from "../../model/format";
import { ImageView } from "./image-view";
import { LayerBar, layersOf, type ShownLayers, useShownLayers } from "./layer-bar";
import css from "./media.module.css";
import type { MediaRun } from "./media-panel";

/** Images put into the page at once. */
const FIRST_IMAGES = 120;

interface ImageListProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly images: readonly ImageItem[];
  readonly full: boolean;
}

/** Images side by side; one alone, and one that was chosen in full screen, has the room to itself. */
export function ImageList({ of, metric, images, full }: ImageListProps) {
  const [search, change] = useSearchState();
  const shown = useShownLayers();
  if (images.length === 0) return <Notice compact title="An empty list of images" />;
  const layers = layersOf(images);
  const chosen = full && search.image !== undefined ? Number(search.image) : -1;
  const at = images.length === 1 ? 0 : chosen;
  const single = images[at];
  const place = single === undefined ? null : at;
  const common = { of, metric, shown };
  return (
    <div className={css.images}>
      {(layers.length > 0 || (full && single !== undefined && images.length > 1)) && (
        <div className={css.bar}>
          {full && place !== null && images.length > 1 && (
            <Walk
              place={place}
              count={images.length}
              onMove={(next) => change({ image: next === null ? undefined : String(next) })}
            />
          )}
          <LayerBar layers={layers} shown={shown} of={of} metric={metric} withClasses={full} />
        </div>
      )}
      {single === undefined ? (
        <Tiles
          {...common}
          images={images}
          full={full}
          onOpen={(index) => change({ panel: metric, image: String(index) }, full ? "replace" : "push")}
        />
      ) : (
        <div className={css.single}>
          <ImageView
            {...common}
            image={single}
            name={nameOf(single, metric, place ?? 0, images.length)}
            {...(full ? {} : { onOpen: () => change({ panel: metric }, "push") })}
          />
        </div>
      )}
    </div>
  );
}

interface TilesProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly shown: ShownLayers;
  readonly images: readonly ImageItem[];
  readonly full: boolean;
  readonly onOpen: (index: number) => void;
}

function Tiles({ images, full, onOpen, metric, ...common }: TilesProps) {
  const [limit, setLimit] = useState(FIRST_IMAGES);
  const rest = images.length - limit;
  return (
    <div className={css.scroller}>
      <ul className={css.tiles} data-full={full} data-few={images.length <= 4}>
        {images.slice(0, limit).map((image, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: an image keeps its place from step to step, and shows the one before until it has loaded
          <li key={index}>
            <ImageView
              {...common}
              metric={metric}
              image={image}
              name={nameOf(image, metric, index, images.length)}
              onOpen={() => onOpen(index)}
            />
          </li>
        ))}
      </ul>
      {rest > 0 && (
        <Button className={css.more ?? ""} onClick={() => setLimit(limit + FIRST_IMAGES)}>
          Show {formatCount(Math.min(rest, FIRST_IMAGES))} of {formatCount(rest)} more
        </Button>
      )}
    </div>
  );
}

interface WalkProps {
  readonly place: number;
  readonly count: number;
  /** Null goes back to all images. */
  readonly onMove: (place: number | null) => void;
}

/** From one image of the list to the next. */
function Walk({ place, count, onMove }: WalkProps) {
  return (
    <div className={css.walk}>
      <Button onClick={() => onMove(null)}>
        <Icon name="previous" /> All images
      </Button>
      <IconButton
        icon="previous"
        label="Image before"
        disabled={place === 0}
        onClick={() => onMove(place - 1)}
      />
      <span>
        {formatCount(place + 1)} of {formatCount(count)}
      </span>
      <IconButton
        icon="next"
        label="Image after"
        disabled={place === count - 1}
        onClick={() => onMove(place + 1)}
      />
    </div>
  );
}

function nameOf(image: ImageItem, metric: string, index: number, count: number): string {
  return image.caption ?? (count === 1 ? metric : `${metric}, image ${index + 1}`);
}
