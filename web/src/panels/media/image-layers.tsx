import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { layerKey } from "../../api/class-labels";
import { fileUrl } from "../../api/files";
import { isMissing } from "../../api/http";
import type { ImageItem, Layer } from "../../api/media";
import { boxesQuery, maskQuery } from "../../api/queries";
import { useNear } from "../../kit/use-near";
import { type Box, classColour, cssColour } from "../../model/classes";
import { formatCount, formatNumber } from "../../model/format";
import type { ShownLayers } from "./layer-bar";
import css from "./media.module.css";
import type { MediaRun } from "./media-panel";

/** Opacity of a class, 0 to 255. */
const MASK_ALPHA = 150;
/** Boxes drawn over one image. */
const MAX_BOXES = 1000;
/** Layers of images this near to the screen are loaded. */
const NEAR = "200px";

interface ImageLayersProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly image: ImageItem;
  readonly shown: ShownLayers;
  /** Width and height of the image in pixels. */
  readonly size: readonly [number, number];
}

/** What lies over an image, while it is in sight; a layer that cannot be shown says so. */
export function ImageLayers({ of, metric, image, shown, size }: ImageLayersProps) {
  const frame = useRef<HTMLDivElement>(null);
  const near = useNear(frame, NEAR);
  const masks = image.masks.filter((layer) => shown.isOn("masks", layer.name));
  const boxes = image.boxes.filter((layer) => shown.isOn("boxes", layer.name));
  const hidden = shown.hiddenClasses;
  return (
    <div ref={frame} className={css.over}>
      {near &&
        masks.map((layer) => <MaskLayer key={`mask ${layer.name}`} of={of} layer={layer} hidden={hidden} />)}
      {near &&
        boxes.map((layer) => (
          <BoxLayer
            key={`boxes ${layer.name}`}
            of={of}
            metric={metric}
            layer={layer}
            size={size}
            hidden={hidden}
          />
        ))}
    </div>
  );
}

interface MaskLayerProps {
  readonly of: MediaRun;
  readonly layer: Layer;
  /** Classes that are not painted. */
  readonly hidden: ReadonlySet<number>;
}

/** A mask over its image: the grey value of a pixel is its class. */
function MaskLayer({ of, layer, hidden }: MaskLayerProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const mask = useQuery({
    ...maskQuery(fileUrl(of.path, layer.path), of.live),
    // as the image: the one before stays until the next one is there
    placeholderData: keepPreviousData,
  });
  const classes = mask.data;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context == null || classes === undefined) return;
    context.putImageData(painted(classes, hidden), 0, 0);
  }, [classes, hidden]);
  if (mask.error !== null) {
    return <LayerNote>{`Mask “${layer.name}”: ${troubleOf(mask.error, of.live)}`}</LayerNote>;
  }
  if (classes === undefined) return null;
  return <canvas ref={canvas} className={css.layer} width={classes.width} height={classes.height} />;
}

function painted(classes: ImageData, hidden: ReadonlySet<number>): ImageData {
  const result = new ImageData(classes.width, classes.height);
  const colours = Array.from({ length: 256 }, (_, id) => (hidden.has(id) ? null : classColour(id)));
  for (let at = 0; at < classes.data.length; at += 4) {
    const colour = colours[classes.data[at] ?? 0];
    if (colour == null) continue;
    result.data.set(colour, at);
    result.data[at + 3] = MASK_ALPHA;
  }
  return result;
}

interface BoxLayerProps extends MaskLayerProps {
  readonly metric: string;
  readonly size: readonly [number, number];
}

/** Boxes over their image, with the name of the class and the scores of each. */
function BoxLayer({ of, metric, layer, size, hidden }: BoxLayerProps) {
  const [width, height] = size;
  const { data, error } = useQuery(boxesQuery(fileUrl(of.path, layer.path), width, height, of.live));
  if (error !== null) {
    return <LayerNote>{`Boxes “${layer.name}”: ${troubleOf(error, of.live)}`}</LayerNote>;
  }
  if (data === undefined) return null;
  if (data === null) return <LayerNote>{`Boxes “${layer.name}”: too many to show`}</LayerNote>;
  const names = of.classLabels.get(layerKey("boxes", metric, layer.name));
  const nameOf = ({ caption, classId }: Box) =>
    caption ?? names?.get(String(classId)) ?? data.labels.get(String(classId)) ?? `class ${classId}`;
  const visible = data.boxes.filter((box) => !hidden.has(box.classId));
  // sizes of text follow the picture, thinner in full screen: the style sheet has them in hundredths of its longer side
  const unit = Math.max(width, height) / 100;
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a drawing has no lists of its own */}
      <svg
        className={css.layer}
        fontSize={unit}
        viewBox={`0 0 ${width} ${height}`}
        role="list"
        aria-label={`Boxes “${layer.name}”`}
      >
        {visible.slice(0, MAX_BOXES).map((box, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: boxes have no names
          <BoxMark key={index} box={box} name={nameOf(box)} size={size} unit={unit} />
        ))}
      </svg>
      {visible.length > MAX_BOXES && (
        <LayerNote>{`The first ${formatCount(MAX_BOXES)} of ${formatCount(visible.length)} boxes “${layer.name}”`}</LayerNote>
      )}
    </>
  );
}

interface BoxMarkProps {
  readonly box: Box;
  readonly name: string;
  readonly size: readonly [number, number];
  readonly unit: number;
}

function BoxMark({ box, name, size: [width, height], unit }: BoxMarkProps) {
  const scores = box.scores.map(([label, score]) => `${label} ${formatNumber(score, 3)}`);
  const [x, y] = [box.x * width, box.y * height];
  return (
    // biome-ignore lint/a11y/useSemanticElements lint/a11y/noInteractiveElementToNoninteractiveRole: a drawing has no lists of its own
    <g role="listitem">
      <rect
        x={x}
        y={y}
        width={Math.max(0, box.width * width)}
        height={Math.max(0, box.height * height)}
        fill="none"
        stroke={cssColour(box.classId)}
        vectorEffect="non-scaling-stroke"
        strokeWidth={2}
      />
      <text x={x + 0.6 * unit} y={Math.max(3.4 * unit, y - 0.8 * unit)}>
        {[name, ...scores].join(" · ")}
      </text>
    </g>
  );
}

function troubleOf(error: Error, live: boolean): string {
  if (isMissing(error)) return live ? "not uploaded yet" : "the file is missing";
  return error.message;
}

function LayerNote({ children }: { readonly children: string }) {
  return (
    <span className={css.note} title={children}>
      {children}
    </span>
  );
}
