import { useMemo, useState } from "react";
import { layerKey } from "../../api/class-labels";
import type { ImageItem } from "../../api/media";
import { cssColour } from "../../model/classes";
import css from "./media.module.css";
import type { MediaRun } from "./media-panel";

/** Names of classes in the legend. */
const MAX_CLASSES = 60;

type LayerKind = "masks" | "boxes";

interface NamedLayer {
  readonly kind: LayerKind;
  readonly name: string;
}

/** Which layers and classes are drawn. */
export interface ShownLayers {
  readonly isOn: (kind: LayerKind, name: string) => boolean;
  readonly toggle: (kind: LayerKind, name: string) => void;
  readonly hiddenClasses: ReadonlySet<number>;
  readonly toggleClass: (id: number) => void;
}

/** Class 0 is the background nearly always: painting it would hide the image. */
const BACKGROUND: ReadonlySet<number> = new Set([0]);

/** All layers are on at first; the choice stays from step to step. */
export function useShownLayers(): ShownLayers {
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());
  const [hiddenClasses, setHidden] = useState(BACKGROUND);
  return useMemo(
    () => ({
      isOn: (kind, name) => !off.has(`${kind} ${name}`),
      toggle: (kind, name) => setOff((before) => flipped(before, `${kind} ${name}`)),
      hiddenClasses,
      toggleClass: (id) => setHidden((before) => flipped(before, id)),
    }),
    [off, hiddenClasses],
  );
}

function flipped<Item>(before: ReadonlySet<Item>, item: Item): ReadonlySet<Item> {
  const next = new Set(before);
  if (!next.delete(item)) next.add(item);
  return next;
}

/** The layers of all images, each once. */
export function layersOf(images: readonly ImageItem[]): NamedLayer[] {
  const found = new Map<string, NamedLayer>();
  for (const image of images) {
    for (const kind of ["masks", "boxes"] as const) {
      for (const { name } of image[kind]) found.set(`${kind} ${name}`, { kind, name });
    }
  }
  return [...found.values()];
}

interface LayerBarProps {
  readonly layers: readonly NamedLayer[];
  readonly shown: ShownLayers;
  readonly of: MediaRun;
  readonly metric: string;
  /** Whether classes can be switched one by one. */
  readonly withClasses: boolean;
}

/** Switches of the layers, and of the classes in them. */
export function LayerBar({ layers, shown, of, metric, withClasses }: LayerBarProps) {
  if (layers.length === 0) return null;
  const classes = new Map<number, string>();
  for (const { kind, name } of layers) {
    for (const [id, label] of of.classLabels.get(layerKey(kind, metric, name)) ?? [])
      classes.set(Number(id), label);
  }
  return (
    <div className={css.layers}>
      {layers.map(({ kind, name }) => (
        <button
          key={`${kind} ${name}`}
          type="button"
          className={css.chip}
          aria-pressed={shown.isOn(kind, name)}
          onClick={() => shown.toggle(kind, name)}
        >
          {name} <small>{kind}</small>
        </button>
      ))}
      {withClasses &&
        [...classes].slice(0, MAX_CLASSES).map(([id, label]) => (
          <button
            key={id}
            type="button"
            className={css.chip}
            aria-pressed={!shown.hiddenClasses.has(id)}
            onClick={() => shown.toggleClass(id)}
          >
            <i style={{ background: cssColour(id) }} />
            {label}
          </button>
        ))}
    </div>
  );
}
