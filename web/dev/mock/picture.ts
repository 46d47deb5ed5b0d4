/** Pictures and sounds that really decode, made from functions. */

import { crc32, deflateSync } from "node:zlib";

/** PNG of `channels` 1 (grey) or 3 (RGB); `at` gives the bytes of a pixel. */
export function png(
  width: number,
  height: number,
  channels: 1 | 3,
  at: (x: number, y: number) => readonly number[],
): Uint8Array {
  const rows = new Uint8Array(height * (1 + width * channels));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows.set(at(x, y), y * (1 + width * channels) + 1 + x * channels);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  return Buffer.concat([
    Uint8Array.from(signature),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(name: string, body: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(name, "latin1"), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.byteLength);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

/** A disc on a shaded ground: different for every seed and step. */
export function scene(width: number, height: number, seed: number, step: number): Uint8Array {
  const [centreX, centreY] = [width * (0.3 + 0.05 * (seed % 9)), height * (0.35 + 0.04 * (seed % 7))];
  const radius = Math.min(width, height) * (0.15 + 0.1 * Math.min(1, step / 400));
  return png(width, height, 3, (x, y) => {
    const inside = (x - centreX) ** 2 + (y - centreY) ** 2 < radius ** 2;
    const shade = 40 + (120 * y) / height;
    return inside ? [230, 90 + 15 * (seed % 8), 60] : [shade, shade + 20, 120 + (90 * x) / width];
  });
}

/** Classes of the same scene: 0 the ground, 1 the disc, 2 the lowest quarter. */
export function sceneMask(width: number, height: number, seed: number, step: number): Uint8Array {
  const [centreX, centreY] = [width * (0.3 + 0.05 * (seed % 9)), height * (0.35 + 0.04 * (seed % 7))];
  const radius = Math.min(width, height) * (0.15 + 0.1 * Math.min(1, step / 400));
  return png(width, height, 1, (x, y) => {
    if ((x - centreX) ** 2 + (y - centreY) ** 2 < radius ** 2) return [1];
    return [y > height * 0.75 ? 2 : 0];
  });
}

/** A second of a tone, 8-bit mono at 8 kHz. */
export function tone(hertz: number): Uint8Array {
  const rate = 8000;
  const file = Buffer.alloc(44 + rate);
  file.write("RIFF", 0, "latin1");
  file.writeUInt32LE(36 + rate, 4);
  file.write("WAVEfmt ", 8, "latin1");
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(rate, 28);
  file.writeUInt16LE(1, 32);
  file.writeUInt16LE(8, 34);
  file.write("data", 36, "latin1");
  file.writeUInt32LE(rate, 40);
  for (let at = 0; at < rate; at += 1) {
    file[44 + at] = 128 + Math.round(100 * Math.sin((2 * Math.PI * hertz * at) / rate));
  }
  return file;
}
