import { afterEach, describe, expect, it, vi } from "vitest";
import { layerKey, readClassLabels } from "./class-labels";
import { Fields } from "./decode";
import { parseExtendedObject } from "./extended-json";
import { fetchKeySteps, fetchMediaValue, fetchMediaValues, readMedia } from "./media";

const read = (value: object) => readMedia(new Fields(value, "value"), "key");

describe("readMedia", () => {
  it("reads an image with its caption and layers", () => {
    const value = {
      _type: "image-file",
      path: "media/images/a.png",
      size: 268,
      width: 8,
      height: 6,
      caption: "step 0",
      masks: { pred: { _type: "mask", path: "media/images/mask/a.mask.png" } },
      boxes: { found: { _type: "boxes2D", path: "media/metadata/boxes2D/a.boxes2D.json" } },
    };
    expect(read(value)).toEqual({
      kind: "images",
      items: [
        {
          path: "media/images/a.png",
          sizeBytes: 268,
          caption: "step 0",
          width: 8,
          height: 6,
          masks: [{ name: "pred", path: "media/images/mask/a.mask.png" }],
          boxes: [{ name: "found", path: "media/metadata/boxes2D/a.boxes2D.json" }],
        },
      ],
    });
  });

  it("reads lists of images with captions and layers of some of them", () => {
    const value = read({
      _type: "images/separated",
      count: 2,
      width: 8,
      height: 8,
      filenames: ["media/images/a.png", "media/images/b.png"],
      captions: ["a", null],
      all_masks: [null, { pred: { path: "media/images/mask/b.mask.png" } }],
    });
    if (value.kind !== "images") throw new Error("no images");
    expect(value.items.map(({ path, caption, masks }) => [path, caption, masks.length])).toEqual([
      ["media/images/a.png", "a", 0],
      ["media/images/b.png", null, 1],
    ]);
  });

  it("reads lists of sounds, clips and scenes by their own members", () => {
    const sounds = read({
      _type: "audio",
      count: 1,
      audio: [{ _type: "audio-file", path: "media/audio/a.wav", size: 9 }],
      captions: ["beep"],
    });
    expect(sounds).toEqual({
      kind: "audio",
      items: [{ path: "media/audio/a.wav", sizeBytes: 9, caption: "beep" }],
    });
    const clips = read({ _type: "videos", videos: [{ path: "media/videos/a.mp4" }], captions: false });
    expect(clips).toMatchObject({ kind: "video", items: [{ caption: null }] });
    const molecules = read({
      _type: "molecule",
      filenames: ["media/molecule/a.pdb", "b.pdb"],
      captions: ["x"],
    });
    expect(molecules).toMatchObject({
      kind: "file",
      type: "molecule",
      items: [{ path: "media/molecule/a.pdb", caption: "x" }, { path: "media/molecule/b.pdb" }],
    });
  });

  it("reads whole, incremental and joined tables", () => {
    const table = { path: "media/table/t.table.json", size: 5, nrows: 34_000, ncols: 2 };
    expect(read({ _type: "table-file", ...table })).toMatchObject({ rows: 34_000, increment: null });
    expect(read({ _type: "incremental-table-file", ...table, increment_num: 3 })).toMatchObject({
      increment: 3,
    });
    expect(read({ _type: "joined-table", artifact_path: "wandb-client-artifact://x/t" })).toMatchObject({
      path: null,
      artifactPath: "wandb-client-artifact://x/t",
    });
  });

  it.each([
    [{ _type: "hologram" }, "hologram"],
    [{ path: "a" }, "_type"],
    [{ _type: "image-file", path: "../../secret" }, "not the name of a file"],
    [{ _type: "images/separated", filenames: ["/etc/passwd"] }, "not the name of a file"],
    [{ _type: "image-file", path: "a", masks: { x: { path: "b\\c" } } }, "not the name of a file"],
    [{ _type: "histogram", values: [1, 2], bins: [0, 1] }, "2 counts and 2 edges"],
    [{ _type: "histogram", values: ["x"], bins: [0, 1] }, "values[0]"],
  ])("says what is wrong with %j", (value, message) => {
    expect(() => read(value)).toThrow(message);
  });
});

it("finds the names of classes in the config, also of keys with dots", () => {
  const config = parseExtendedObject(
    '{"_wandb": {"value": {"mask/class_labels": {"a.b_wandb_delimeter_pred": {"value": {"0": "sky", "1": "sun"}}, "odd": 3},' +
      '"bounding_box/class_labels": {"k_wandb_delimeter_x": {"type": "t"}}}}}',
  );
  const labels = readClassLabels(config);
  expect([...labels.keys()]).toEqual([layerKey("masks", "a.b", "pred")]);
  expect(labels.get(layerKey("masks", "a.b", "pred"))?.get("1")).toBe("sun");
  expect(readClassLabels(new Map()).size).toBe(0);
});

describe("what a run that goes on has new", () => {
  const path = { entity: "e", project: "p", run: "r" };
  const { signal } = new AbortController();
  let asked: Record<string, unknown>[] = [];
  afterEach(() => {
    vi.unstubAllGlobals();
    asked = [];
  });

  /** A server whose run has the key at these steps. */
  const serve = (steps: readonly number[], type = "histogram") => {
    const answer = (variables: { from?: number | null; specs?: string[] }) => {
      asked.push(variables);
      if (variables.specs === undefined) {
        const from = variables.from ?? Number.NEGATIVE_INFINITY;
        return { keySteps: steps.filter((step) => step >= from) };
      }
      const spec: { minStep?: number; maxStep?: number; keys: string[] } = JSON.parse(
        variables.specs[0] ?? "",
      );
      const { minStep = Number.NEGATIVE_INFINITY, maxStep = Number.POSITIVE_INFINITY } = spec;
      const found = steps.filter((step) => step >= minStep && step <= maxStep);
      const value = { _type: type, values: [1], bins: [0, 1] };
      return { sampledHistory: [found.map((step) => ({ _step: step, [spec.keys[1] ?? ""]: value }))] };
    };
    vi.stubGlobal("fetch", async (_url: string, init: { body: string }) => {
      const { variables } = JSON.parse(init.body);
      return Response.json({ data: { project: { run: answer(variables) } } });
    });
  };

  it("is asked for from the last known step on", async () => {
    serve([0, 5, 9, 12]);
    expect(await fetchKeySteps(path, "k", [0, 5, 9], signal)).toEqual([0, 5, 9, 12]);
    expect(asked.map(({ from }) => from)).toEqual([9]);
  });

  it("is read again as a whole after a rewind", async () => {
    serve([0, 5, 6]);
    expect(await fetchKeySteps(path, "k", [0, 5, 9], signal)).toEqual([0, 5, 6]);
    expect(asked.map(({ from }) => from)).toEqual([9, null]);
  });

  it("keeps the list as it is when there is nothing new", async () => {
    serve([0, 5]);
    const known = [0, 5];
    expect(await fetchKeySteps(path, "k", known, signal)).toBe(known);
  });

  it("thins values that have grown too many, and keeps the last one", async () => {
    serve([0, 1, 2]);
    let known = await fetchMediaValues(path, "k", 2, [], signal);
    expect(known.map(({ step }) => step)).toEqual([0, 1, 2]);
    serve([0, 1, 2, 3, 4]);
    known = await fetchMediaValues(path, "k", 2, known, signal);
    expect(known.map(({ step }) => step)).toEqual([0, 2, 4]);
    serve([0, 1]);
    known = await fetchMediaValues(path, "k", 2, known, signal);
    expect(known.map(({ step }) => step)).toEqual([0, 1]);
  });

  it("names keys with dots as they were logged", async () => {
    serve([3]);
    expect(await fetchMediaValue(path, "a\\.b", 3, signal)).toMatchObject({ kind: "histogram" });
    expect(JSON.parse(String(Object(asked[0]).specs)).keys).toEqual(["_step", "a.b"]);
    expect(await fetchMediaValue(path, "k", 4, signal)).toBeNull();
  });
});
