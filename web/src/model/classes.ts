/** Classes of masks and boxes: colours, and what is drawn of a box file. */

import { DecodeError, Fields } from "../api/decode";

/** Turns of the hue from one class to the next: the golden angle, so that neighbours are far apart. */
const HUE_STEP = 137.508;

/** Red, green and blue of a class, 0 to 255; the same for every layer and image. */
export function classColour(id: number): readonly [number, number, number] {
  const hue = (id * HUE_STEP) % 360;
  // a lighter ring after every full turn of hues
  const light = 0.5 + 0.12 * (Math.floor((id * HUE_STEP) / 360) % 2);
  return [channel(hue, light, 0), channel(hue, light, 8), channel(hue, light, 4)];
}

/** One channel of HSL with 70 % saturation. */
function channel(hue: number, light: number, offset: number): number {
  const turn = (offset + hue / 30) % 12;
  const reach = 0.7 * Math.min(light, 1 - light);
  return Math.round(255 * (light - reach * Math.max(-1, Math.min(turn - 3, 9 - turn, 1))));
}

export function cssColour(id: number): string {
  return `rgb(${classColour(id).join(" ")})`;
}

/** A box in fractions of the image. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly classId: number;
  readonly caption: string | null;
  readonly scores: readonly (readonly [string, number])[];
}

export interface BoxFile {
  readonly boxes: readonly Box[];
  readonly labels: ReadonlyMap<string, string>;
}

/** Reads a file of boxes over an image of `width` × `height` pixels; throws {@link DecodeError}. */
export function readBoxes(text: string, width: number, height: number): BoxFile {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new DecodeError("the file of boxes is not JSON", { cause: error });
  }
  const file = new Fields(document, "boxes");
  const labels = file.maybeFields("class_labels")?.entries() ?? [];
  return {
    boxes: file.list("box_data", (box, at) => readBox(new Fields(box, at), width, height)),
    labels: new Map(labels.map(([id, label]) => [id, String(label)])),
  };
}

function readBox(box: Fields, width: number, height: number): Box {
  const position = box.fields("position");
  const [scaleX, scaleY] = box.maybeText("domain") === "pixel" ? [1 / width, 1 / height] : [1, 1];
  const scores = box.maybeFields("scores")?.entries() ?? [];
  const caption = box.maybeText("box_caption");
  return {
    ...placed(position, scaleX, scaleY),
    classId: box.maybeNumber("class_id") ?? 0,
    caption: caption === "" ? null : caption,
    scores: scores.flatMap(([name, score]) => (typeof score === "number" ? [[name, score] as const] : [])),
  };
}

function placed(position: Fields, scaleX: number, scaleY: number) {
  const middle = position.list("middle", (item, at) => new Fields({ item }, at).number("item"));
  const [centreX, centreY] = middle;
  if (centreX !== undefined && centreY !== undefined) {
    const [width, height] = [position.number("width"), position.number("height")];
    return {
      x: (centreX - width / 2) * scaleX,
      y: (centreY - height / 2) * scaleY,
      width: width * scaleX,
      height: height * scaleY,
    };
  }
  const [left, right] = [position.number("minX"), position.number("maxX")];
  const [top, bottom] = [position.number("minY"), position.number("maxY")];
  return {
    x: left * scaleX,
    y: top * scaleY,
    width: (right - left) * scaleX,
    height: (bottom - top) * scaleY,
  };
}
