import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { layerKey } from "../../api/class-labels";
import { fileUrl } from "../../api/files";
import type { Layer } from "../../api/media";
import { boxesQuery } from "../../api/queries";
import { classColour, cssColour } from "../../model/classes";
import { formatNumber } from "../../model/format";
import css from "./media.module.css";
import type { MediaRun } from "./media-panel";

/** Opacity of a class, 0 to 255. */
const MASK_ALPHA = 150;
/** Longer side of a mask as it is drawn; larger ones are drawn coarser. */
const MAX_MASK_PIXELS = 1024;
/** Boxes drawn over one image. */
const MAX_BOXES = 1000;

interface MaskLayerProps {
  readonly url: string;
  /** Classes that are not painted. */
  readonly hidden: ReadonlySet<number>;
}

/** A mask over its image: the grey value of a pixel is its class. */
export function MaskLayer({ url, hidden }: MaskLayerProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [classes, setClasses] = useState<ImageData | null>(null);
  useEffect(() => {
    let current = true;
    const image = new Image();
    image.src = url;
    image
      .decode()
      .then(() => {
        if (current) setClasses(pixelsOf(image));
      })
      // a mask that is not there leaves the image as it is
      .catch(() => current && setClasses(null));
    return () => {
      current = false;
    };
  }, [url]);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context == null || classes === null) return;
    context.putImageData(painted(classes, hidden), 0, 0);
  }, [classes, hidden]);
  if (classes === null) return null;
  return <canvas ref={canvas} className={css.layer} width={classes.width} height={classes.height} />;
}

function pixelsOf(image: HTMLImageElement): ImageData | null {
  const scale = Math.min(1, MAX_MASK_PIXELS / Math.max(image.naturalWidth, image.naturalHeight, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return null;
  // between two classes there is no third one
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
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

interface BoxLayerProps {
  readonly of: MediaRun;
  readonly metric: string;
  readonly layer: Layer;
  /** Width and height of the image in pixels. */
  readonly size: readonly [number, number];
  readonly hidden: ReadonlySet<number>;
}

/** Boxes over their image, with the name of the class and the scores of each. */
export function BoxLayer({ of, metric, layer, size, hidden }: BoxLayerProps) {
  const [width, height] = size;
  const { data } = useQuery(boxesQuery(fileUrl(of.path, layer.path), width, height));
  if (data === undefined) return null;
  const names = of.classLabels.get(layerKey("boxes", metric, layer.name));
  // sizes of text follow the picture, thinner in full screen: the style sheet has them in hundredths of its longer side
  const unit = Math.max(width, height) / 100;
  return (
    <svg className={css.layer} fontSize={unit} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      {data.boxes
        .filter((box) => !hidden.has(box.classId))
        .slice(0, MAX_BOXES)
        .map((box, index) => {
          const colour = cssColour(box.classId);
          const id = String(box.classId);
          const name = box.caption ?? names?.get(id) ?? data.labels.get(id) ?? `class ${id}`;
          const scores = box.scores.map(([label, score]) => `${label} ${formatNumber(score, 3)}`);
          const [x, y] = [box.x * width, box.y * height];
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: boxes have no names
            <g key={index}>
              <rect
                x={x}
                y={y}
                width={Math.max(0, box.width * width)}
                height={Math.max(0, box.height * height)}
                fill="none"
                stroke={colour}
                vectorEffect="non-scaling-stroke"
                strokeWidth={2}
              />
              <text x={x + 0.6 * unit} y={Math.max(3.4 * unit, y - 0.8 * unit)}>
                {[name, ...scores].join(" · ")}
              </text>
            </g>
          );
        })}
    </svg>
  );
}
