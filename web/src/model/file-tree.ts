/** Flat file names → rows of a folder tree. */

import { naturalOrder } from "./sections";

export interface FileRow<File> {
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  /** Null for a folder. */
  readonly file: File | null;
  /** Bytes of the file, or of all files in the folder. */
  readonly bytes: number;
}

interface Folder<File> {
  readonly folders: Map<string, Folder<File>>;
  readonly files: { readonly name: string; readonly file: File; readonly bytes: number }[];
}

/** Folders before files, each in natural order; contents of the closed folders are left out. */
export function fileRows<File extends { readonly name: string; readonly sizeBytes: number }>(
  files: readonly File[],
  closed: ReadonlySet<string>,
): FileRow<File>[] {
  const root: Folder<File> = { folders: new Map(), files: [] };
  for (const file of files) {
    const parts = file.name.split("/");
    const name = parts.pop() ?? file.name;
    let folder = root;
    for (const part of parts) {
      const next = folder.folders.get(part) ?? { folders: new Map(), files: [] };
      folder.folders.set(part, next);
      folder = next;
    }
    folder.files.push({ name, file, bytes: file.sizeBytes });
  }
  return rowsOf(root, "", 0, closed);
}

function rowsOf<File>(
  folder: Folder<File>,
  parent: string,
  depth: number,
  closed: ReadonlySet<string>,
): FileRow<File>[] {
  const folders = [...folder.folders].sort(([a], [b]) => naturalOrder(a, b));
  const files = [...folder.files].sort((a, b) => naturalOrder(a.name, b.name));
  return [
    ...folders.flatMap(([name, inner]) => {
      const path = `${parent}${name}`;
      const row = { path, name, depth, file: null, bytes: bytesOf(inner) };
      return [row, ...(closed.has(path) ? [] : rowsOf(inner, `${path}/`, depth + 1, closed))];
    }),
    ...files.map(({ name, file, bytes }) => ({ path: `${parent}${name}`, name, depth, file, bytes })),
  ];
}

function bytesOf<File>(folder: Folder<File>): number {
  const inner = [...folder.folders.values()].reduce((sum, next) => sum + bytesOf(next), 0);
  return folder.files.reduce((sum, { bytes }) => sum + bytes, inner);
}

export type Preview = "text" | "image" | "none";

const IMAGE = /\.(png|jpe?g|gif|webp|bmp|ico|avif)$/i;
const BINARY =
  /\.(zip|gz|tgz|xz|bz2|zst|7z|tar|whl|so|dll|exe|o|a|pyc|pkl|pickle|pt|pth|ckpt|safetensors|onnx|npy|npz|h5|hdf5|parquet|arrow|feather|db|sqlite|wandb|mp4|webm|mov|avi|mp3|wav|flac|ogg|pdf|ttf|woff2?|bin)$/i;

/** How a file can be shown, by its name: stored types are often wrong for text formats. */
export function previewOf(name: string): Preview {
  if (IMAGE.test(name)) return "image";
  return BINARY.test(name) ? "none" : "text";
}
