import { type ExtendedObject, isExtendedObject, showExtendedJson } from "./extended-json";

/** Names of the classes of masks and boxes by number, of each layer: `layerKey` says which. */
export type ClassLabels = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Key of a layer in {@link ClassLabels}. */
export function layerKey(kind: "masks" | "boxes", metric: string, layer: string): string {
  return JSON.stringify([kind, metric, layer]);
}

const LABEL_KINDS = [
  ["masks", "mask/class_labels"],
  ["boxes", "bounding_box/class_labels"],
] as const;
/** Between the key of an image and the name of its layer; spelled as clients write it. */
const LAYER_MARK = "_wandb_delimeter_";

/** Clients put the names of classes into the config. */
export function readClassLabels(config: ExtendedObject): ClassLabels {
  const found = new Map<string, ReadonlyMap<string, string>>();
  const inner = config.get("_wandb");
  const block = isExtendedObject(inner) && isExtendedObject(inner.get("value")) ? inner.get("value") : inner;
  if (!isExtendedObject(block)) return found;
  for (const [kind, name] of LABEL_KINDS) {
    const layers = block.get(name);
    if (!isExtendedObject(layers)) continue;
    for (const [key, entry] of layers) {
      const labels = isExtendedObject(entry) ? entry.get("value") : undefined;
      const at = key.indexOf(LAYER_MARK);
      if (at < 0 || !isExtendedObject(labels)) continue;
      const names = [...labels].map(([id, label]) => [id, showExtendedJson(label)] as const);
      found.set(layerKey(kind, key.slice(0, at), key.slice(at + LAYER_MARK.length)), new Map(names));
    }
  }
  return found;
}
