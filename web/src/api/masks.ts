/** Masks of images: pictures whose grey values are classes. */

import { fetchFileState } from "./files";
import { ApiError } from "./http";

/** Longer side of a mask as it is drawn; larger ones are drawn coarser. */
const MAX_SIDE = 1024;
/** Pixels of a mask that is decoded; larger ones would take hundreds of megabytes before they are made smaller. */
const MAX_PIXELS = 64_000_000;

/** Pixels of a mask; throws an {@link ApiError} with status 404 when the file is missing. */
export async function fetchMask(url: string, signal: AbortSignal): Promise<ImageData> {
  const image = await loaded(url, signal);
  const { naturalWidth: width, naturalHeight: height } = image;
  if (width * height > MAX_PIXELS) throw new Error("it has too many pixels");
  await image.decode();
  return pixelsOf(image);
}

async function loaded(url: string, signal: AbortSignal): Promise<HTMLImageElement> {
  const image = new Image();
  const stop = () => {
    image.src = "";
  };
  signal.addEventListener("abort", stop);
  const isLoaded = await new Promise<boolean>((resolve) => {
    image.addEventListener("load", () => resolve(true));
    image.addEventListener("error", () => resolve(false));
    image.src = url;
  });
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
  if (isLoaded) return image;
  // an image does not say why it failed
  if ((await fetchFileState(url, signal)) === "missing") throw new ApiError(404, "the file is missing");
  throw new Error("the file is damaged");
}

function pixelsOf(image: HTMLImageElement): ImageData {
  const scale = Math.min(1, MAX_SIDE / Math.max(image.naturalWidth, image.naturalHeight, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("the browser has no canvas to draw it on");
  // between two classes there is no third one
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
