/** Media of mock runs: values by step, and the files that they name. */

import { png, scene, sceneMask, tone } from "./picture";

export interface MockFile {
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** A key with media values. */
export interface MockMedia {
  readonly type: string;
  /** Steps of its values; tests add to them. */
  readonly steps: number[];
  readonly at: (step: number) => Record<string, unknown>;
}

export interface MockMediaRun {
  readonly media: Map<string, MockMedia>;
  readonly files: Map<string, MockFile>;
}

const text = (body: string, type = "application/json"): MockFile => ({
  type,
  bytes: new TextEncoder().encode(body),
});
const picture = (bytes: Uint8Array): MockFile => ({ type: "image/png", bytes });

/** Files that were made for an earlier server: they are the same every time, and making them takes a while. */
const MADE = new Map<string, MockFile>();

const GIF = Uint8Array.from(
  Buffer.from(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b",
    "hex",
  ),
);

export const CLASS_LABELS = `"mask/class_labels":{"street_wandb_delimeter_prediction":{"type":"mask/class_labels","key":"street_wandb_delimeter_prediction","value":{"0":"sky","1":"sun","2":"road"}}},"bounding_box/class_labels":{"street_wandb_delimeter_found":{"type":"bounding_box/class_labels","value":{"1":"sun","2":"road"}}}`;

/** Every kind of media, logged at several steps. */
export function everyMedia(steps: readonly number[]): MockMediaRun {
  const files = new Map<string, MockFile>();
  const media = new Map<string, MockMedia>();
  const add = (key: string, type: string, at: MockMedia["at"], own: readonly number[] = steps) =>
    media.set(key, { type, steps: [...own], at: (step) => ({ _type: type, ...at(step) }) });
  const put = (path: string, make: () => MockFile) => {
    const file = MADE.get(path) ?? make();
    MADE.set(path, file);
    files.set(path, file);
    return { path, size: file.bytes.byteLength, sha256: "0".repeat(64) };
  };

  add("sample", "image-file", (step) => ({
    ...put(`media/images/sample_${step}.png`, () => picture(scene(320, 200, 3, step))),
    format: "png",
    width: 320,
    height: 200,
    caption: `validation image 17 at step ${step}`,
  }));
  add("predictions", "images/separated", (step) => ({
    filenames: Array.from({ length: 12 }, (_, index) => {
      const path = `media/images/predictions_${step}_${index}.png`;
      put(path, () => picture(scene(28, 28, index, step)));
      return path;
    }),
    captions: Array.from({ length: 12 }, (_, index) =>
      index === 7 ? null : `${index % 10} → ${(index * 7) % 10}`,
    ),
    count: 12,
    width: 28,
    height: 28,
    format: "png",
  }));
  add("street", "image-file", (step) => {
    const boxes = {
      box_data: [
        {
          position: { minX: 0.2, maxX: 0.5, minY: 0.2, maxY: 0.6 },
          class_id: 1,
          scores: { confidence: 0.874 },
        },
        { position: { middle: [160, 175], width: 300, height: 40 }, domain: "pixel", class_id: 2 },
      ],
      class_labels: { 1: "sun", 2: "road" },
    };
    return {
      ...put(`media/images/street_${step}.png`, () => picture(scene(320, 200, 1, step))),
      width: 320,
      height: 200,
      format: "png",
      masks: {
        prediction: {
          _type: "mask",
          ...put(`media/images/mask/street_${step}.mask.png`, () => picture(sceneMask(320, 200, 1, step))),
        },
      },
      boxes: {
        found: {
          _type: "boxes2D",
          ...put(`media/metadata/boxes2D/street_${step}.boxes2D.json`, () => text(JSON.stringify(boxes))),
        },
      },
    };
  });
  add("crowd", "images/separated", (step) => {
    const names = Array.from({ length: 108 }, (_, index) => `crowd_${step}_${index}`);
    return {
      filenames: names.map(
        (name, index) => put(`media/images/${name}.png`, () => picture(scene(28, 28, index, step))).path,
      ),
      all_masks: names.map((name, index) => ({
        prediction: put(`media/images/mask/${name}.png`, () => picture(sceneMask(28, 28, index, step))),
      })),
      count: 108,
      width: 28,
      height: 28,
      format: "png",
    };
  });
  add("attention/map", "image-file", (step) => ({
    ...put(`media/images/attention_${step}.png`, () =>
      picture(png(16, 16, 1, (x, y) => [(x * y * 7 + step) % 256])),
    ),
    width: 16,
    height: 16,
    format: "png",
  }));
  add("weights/w1", "histogram", (step) => ({
    values: Array.from({ length: 32 }, (_, bin) =>
      Math.round(900 * Math.exp(-((bin - 16 - step / 60) ** 2) / (18 + step / 10))),
    ),
    bins: Array.from({ length: 33 }, (_, edge) => (edge - 16) / 20),
  }));
  add("speech", "audio", (step) => ({
    count: 2,
    audio: [440, 660].map((hertz) => ({
      _type: "audio-file",
      ...put(`media/audio/speech_${hertz}_${step}.wav`, () => ({ type: "audio/x-wav", bytes: tone(hertz) })),
      caption: `${hertz} Hz`,
    })),
    sampleRates: [8000, 8000],
    durations: [1, 1],
  }));
  add("clip", "video-file", (step) => ({
    ...put(`media/videos/clip_${step}.gif`, () => ({ type: "image/gif", bytes: GIF })),
    caption: "one pixel",
  }));
  add("report", "html-file", (step) => ({
    ...put(`media/html/report_${step}.html`, () =>
      text(
        `<base target="_blank"><h1>Step ${step}</h1><p id="out">no script</p><script>document.getElementById("out").textContent = "a script of the page ran"</script>`,
        "text/html; charset=utf-8",
      ),
    ),
  }));
  add("figure", "plotly-file", (step) => ({
    ...put(`media/plotly/figure_${step}.plotly.json`, () => text('{"data":[],"layout":{}}')),
  }));
  add("samples", "table-file", (step) => {
    const columns = ["id", "text", "truth", "guess", "probability", "image", "scores", "note"];
    const words = [
      "a short text",
      "a text that goes on for a while and does not fit into its cell any more, not even nearly",
    ];
    const data = () =>
      Array.from({ length: 200 }, (_, id) => [
        id,
        words[id % 2],
        id % 10,
        (id * 3 + step) % 10,
        id % 13 === 0 ? null : Number(((id * 37) % 101) / 101),
        "Image",
        { top1: (id % 7) / 7, top5: [1, 2, 3] },
        id % 5 === 0 ? "checked" : null,
      ]);
    return {
      ...put(`media/table/samples_${step}.table.json`, () => text(JSON.stringify({ columns, data: data() }))),
      ncols: columns.length,
      nrows: 200,
      log_mode: "IMMUTABLE",
    };
  });
  add(
    "embeddings",
    "table-file",
    (step) => {
      const columns = ["name", ...Array.from({ length: 299 }, (_, at) => `dim_${at}`)];
      const row = (id: number) =>
        `["row ${id}",${columns
          .slice(1)
          .map((_, at) => (id === 3 && at === 1 ? "NaN" : ((id * 31 + at * 17) % 1000) / 1000 - 0.5))
          .join(",")}]`;
      const body = () =>
        `{"columns":${JSON.stringify(columns)},"data":[${Array.from({ length: 10_000 }, (_, id) => (id < 400 ? row(id) : `["row ${id}"]`)).join(",")}]}`;
      return {
        ...put(`media/table/embeddings_${step}.table.json`, () => text(body())),
        ncols: 300,
        nrows: 34_000,
        log_mode: "IMMUTABLE",
      };
    },
    steps.slice(-1),
  );
  // named by a value, but not uploaded (yet)
  add("late", "image-file", (step) => ({ path: `media/images/late_${step}.png`, width: 64, height: 64 }));
  add("lost_table", "table-file", (step) => {
    const path = `media/table/lost_${step}.table.json`;
    put(path, () => text('{"columns": ["a"], "data": [[1], ['));
    return { path, ncols: 1, nrows: 2 };
  });
  for (const { steps: own, at } of media.values()) for (const step of own) at(step);
  return { media, files };
}
