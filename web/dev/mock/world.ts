/** The mock server's data: deterministic runs whose metrics are functions of the step. Time stands still but for `advance`. */

import { CLASS_LABELS, everyMedia, type MockFile, type MockMedia } from "./media";
import { machineKeys } from "./system";

export interface MockRun {
  readonly entity: string;
  readonly project: string;
  readonly name: string;
  readonly displayName: string;
  state: string;
  readonly createdAt: string;
  readonly tags: readonly string[];
  readonly metrics: readonly string[];
  steps: number;
  /** Keys of its system metrics, and how often they were sampled. */
  readonly system: readonly string[];
  samples: number;
  readonly log: string[];
  /** Lines `[from, to)` that are not kept. */
  logGap: [number, number];
  /** Labels that lines have in turn; empty for none. */
  logLabels: readonly string[];
  readonly config: string;
  readonly files: ReadonlyMap<string, MockFile>;
  /** Keys with values that are more than numbers. */
  readonly media: ReadonlyMap<string, MockMedia>;
}

export interface MockProject {
  readonly entity: string;
  readonly name: string;
  readonly description: string;
  readonly runs: MockRun[];
}

const DAY_MILLIS = 86_400_000;
/** A 2 × 2 picture, so that previews have an image that really decodes. */
const PICTURE = Uint8Array.from(
  atob(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFElEQVR4nGP8z8DwnwEKmGAMOAMAUAwCBLyVxfAAAAAASUVORK5CYII=",
  ),
  (character) => character.charCodeAt(0),
);

/** mulberry32: one 32-bit state, the same numbers on every machine. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

function seedOf(text: string): number {
  let seed = 7;
  for (const character of text) seed = Math.imul(seed, 31) + character.charCodeAt(0);
  return seed;
}

/** Value of a metric at a step; NaN where the run "diverged". */
export function valueAt(run: MockRun, key: string, step: number): number {
  const shape = randomOf(seedOf(run.name + key));
  const [speed, level, roughness] = [shape(), shape(), shape()];
  const noise = (randomOf(seedOf(`${run.name}${key}${step}`))() - 0.5) * (0.08 + 0.1 * roughness);
  const progress = 1 - Math.exp((-step / 220) * (0.4 + 1.4 * speed));
  if (key.includes("nan") && step % 40 > 34) return Number.NaN;
  if (key.includes("acc")) return Math.min(1, Math.max(0, 0.1 + (0.72 + 0.2 * level) * progress + noise / 3));
  if (key.includes("lr")) return 1e-3 * Math.min(1, step / 100) * (1 - progress * 0.9);
  if (key.includes("norm")) return (0.5 + 2 * level) * (1 - progress * 0.8) * Math.exp(noise * 8);
  return (2.3 * (1 - progress) + 0.08 + 0.25 * level) * (1 + noise) + (step === 4321 ? 6 : 0);
}

function mockRun(entity: string, project: string, index: number, patch: Partial<MockRun>): MockRun {
  const name = patch.name ?? Math.floor(randomOf(seedOf(project + index))() * 2 ** 40).toString(36);
  const lr = [0.1, 0.01, 0.001, 0.03][index % 4];
  return {
    entity,
    project,
    name,
    displayName: `${["brisk", "calm", "deep", "eager", "fair", "grand"][index % 6]}-${["river", "stone", "cloud", "ember", "field"][index % 5]}-${index + 1}`,
    state: ["finished", "finished", "failed", "finished", "crashed", "killed"][index % 6] ?? "finished",
    createdAt: new Date(Date.now() - index * DAY_MILLIS * 0.4 - 300_000).toISOString().slice(0, 19),
    tags: index % 3 === 0 ? ["baseline", "v2"] : [],
    metrics: [
      "loss",
      "accuracy",
      "train/loss",
      "train/accuracy",
      "train/grad_norm",
      "val/loss",
      "val/accuracy",
      "lr",
    ],
    steps: 600,
    system: machineKeys(0),
    samples: 60,
    log: patch.log ?? Array.from({ length: 120 }, (_, line) => logLine(line)),
    logGap: patch.logGap ?? [0, 0],
    logLabels: patch.logLabels ?? [],
    config: `{"lr":{"value":${lr}},"batch_size":{"value":${32 << (index % 3)}},"optimizer":{"value":{"name":"adamw","betas":[0.9,0.999],"eps":1e-8}},"clip":{"value":Infinity},"seed":{"value":9007199254740993},"_wandb":{"value":{"cli_version":"0.31.0"}}}`,
    files: FILES,
    media: new Map(),
    ...patch,
  };
}

/** What two ranks print: colours, errors, bars and a line that no screen is wide enough for. */
function rankLine(at: number): string {
  switch (at % 8) {
    case 1:
      return `\u001b[32mINFO\u001b[0m  saved checkpoint \u001b[1mstep-${at}.pt\u001b[0m in 2.1 s`;
    case 3:
      return "Traceback (most recent call last): NCCL watchdog has been waiting for 30 s";
    case 5:
      return `train:  ${at % 100}%|${"█".repeat(at % 20).padEnd(20)}| ${at}/3000 [00:12<00:20, 55.1it/s]`;
    case 7:
      return `\u001b[33mWARN\u001b[0m  gradient norms per layer: ${Array.from({ length: 40 }, (_, layer) => (layer * 0.37).toFixed(2)).join(", ")}`;
    default:
      return `epoch ${Math.floor(at / 100)}\tstep ${at}\tloss ${(2 / (1 + at / 200)).toFixed(4)}`;
  }
}

function logLine(line: number): string {
  if (line % 20 === 0) return `\u001b[1mepoch ${line / 20}\u001b[0m \u001b[2mof 100\u001b[0m`;
  if (line % 17 === 16)
    return "\u001b[33mWARNING\u001b[0m gradient overflow, loss scale reduced to \u001b[4m32768\u001b[0m";
  return `  step ${line * 10}  loss \u001b[36m${(2.3 / (1 + line / 15)).toFixed(4)}\u001b[0m  accuracy \u001b[32m${(1 - 0.9 / (1 + line / 20)).toFixed(4)}\u001b[0m`;
}

const text = (body: string) => ({ type: "text/plain", bytes: new TextEncoder().encode(body) });
const FILES: MockRun["files"] = new Map([
  ["output.log", text("step 1\nstep 2\n")],
  ["requirements.txt", text("numpy==2.1.0\nrunlane==0.1.0\n")],
  ["config.yaml", text("lr:\n  value: 0.01\nbatch_size:\n  value: 32\n")],
  [
    "code/train.py",
    text('import runlane\n\nwith runlane.init(project="digits") as run:\n    run.log({"loss": 0.3})\n'),
  ],
  ["media/images/sample_0.png", { type: "image/png", bytes: PICTURE }],
  ["checkpoints/model.pt", { type: "application/octet-stream", bytes: new Uint8Array(1_500_000) }],
]);

/** A project of each kind that the app must cope with. */
export function createWorld(): MockProject[] {
  const entity = "ada";
  const project = (name: string, description: string, runs: MockRun[]) => ({
    entity,
    name,
    description,
    runs,
  });
  const digits = [
    mockRun(entity, "digits", 0, { name: "lr-high", displayName: "lr 0.1", state: "running", steps: 400 }),
    mockRun(entity, "digits", 1, { name: "lr-mid-3", displayName: "lr 0.01" }),
    mockRun(entity, "digits", 2, { name: "lr-low", displayName: "lr 0.001", state: "failed" }),
  ];
  const manyMetrics = Array.from({ length: 40 }, (_, layer) => `layers/${layer}/grad_norm`);
  const sweep = Array.from({ length: 48 }, (_, index) =>
    mockRun(entity, "resnet-sweep", index, {
      steps: 10_000 + index * 100,
      system: machineKeys(2),
      samples: 1000 + index * 10,
      ...(index < 3 ? { state: "running" } : {}),
      metrics: [
        "loss",
        "train/loss",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "val/nan_rate",
        "optim/lr",
        ...manyMetrics,
      ],
    }),
  );
  const nodes = [
    mockRun(entity, "two-nodes", 0, {
      name: "pretrain",
      displayName: "pretrain 16 GPUs",
      state: "running",
      log: Array.from({ length: 3_000 }, (_, at) => rankLine(at)),
      logGap: [1_200, 2_900],
      logLabels: ["rank-0", "rank-1"],
      steps: 2000,
      samples: 240,
      system: [...machineKeys(8, 64, "node-1"), ...machineKeys(8, 64, "node-2")],
    }),
    mockRun(entity, "two-nodes", 1, {
      name: "one-gpu",
      displayName: "one GPU",
      state: "crashed",
      samples: 120,
      system: [
        ...machineKeys(1),
        "system.openmetrics.vllm.http_requests_total.0",
        "system.openmetrics.vllm.http_requests_total.1",
        "system.openmetrics.vllm.process_resident_memory_bytes.0",
        "system.fan.front_rpm",
      ],
    }),
  ];
  const big = Array.from({ length: 10_000 }, (_, index) =>
    mockRun(entity, "ten-thousand-runs", index, { name: `big${index}`, log: [], files: new Map() }),
  );
  const strange = [
    mockRun(entity, "strange-names", 0, {
      name: "odd",
      displayName:
        '<img src=x onerror="alert(1)"> a name that goes on and on and on until nobody can read it any more',
      metrics: [
        "__proto__",
        "constructor",
        "a/__proto__",
        "<b>bold</b>",
        "loss, train (%)",
        `deep/${"x".repeat(120)}`,
      ],
    }),
  ];
  const wide = [0, 1, 2].map((index) =>
    mockRun(entity, "three-thousand-metrics", index, {
      metrics: Array.from({ length: 3000 }, (_, at) => `block${at % 30}/layer${Math.floor(at / 30)}/norm`),
    }),
  );
  const vision = everyMedia([0, 100, 200, 300]);
  const seen = everyMedia([0]);
  const mediaConfig = `{"_wandb":{"value":{${CLASS_LABELS}}}}`;
  const media = [
    mockRun(entity, "media", 0, {
      name: "vision",
      displayName: "vision",
      state: "running",
      steps: 400,
      config: mediaConfig,
      metrics: ["loss", "val/accuracy"],
      ...vision,
    }),
    mockRun(entity, "media", 1, {
      name: "seen",
      displayName: "seen once",
      state: "finished",
      config: mediaConfig,
      metrics: [],
      ...seen,
    }),
  ];
  const quiet = [
    mockRun(entity, "nothing-logged", 0, {
      name: "quiet",
      metrics: [],
      steps: 0,
      system: [],
      samples: 0,
      log: [],
      files: new Map(),
      state: "running",
    }),
  ];
  return [
    project("digits", "Three learning rates on scikit-learn's digits.", digits),
    project("resnet-sweep", "Learning rate, width and clipping for the small ResNet.", sweep),
    project("two-nodes", "Two machines with eight GPUs each.", nodes),
    project("strange-names", "", strange),
    project("media", "Images, tables and more.", media),
    project("nothing-logged", "", quiet),
    project("empty", "A project before its first run.", []),
    project("ten-thousand-runs", "", big),
    project("three-thousand-metrics", "", wide),
  ];
}
