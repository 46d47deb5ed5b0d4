/** System metrics of the mock world: a sample every 15 s, values made of key and time. */

import { type MockRun, randomOf } from "./world";

/** Seconds between samples. */
export const INTERVAL = 15;

const HOST_KEYS = [
  "cpu",
  "memory_percent",
  "proc.memory.availableMB",
  "proc.memory.rssMB",
  "proc.memory.percent",
  "proc.cpu.threads",
  "disk./.usagePercent",
  "disk./.usageGB",
  "disk.nvme0n1.in",
  "disk.nvme0n1.out",
  "network.sent",
  "network.recv",
  "network.tcpRetransmits",
];
const GPU_KEYS = [
  "gpu",
  "memory",
  "memoryAllocated",
  "memoryAllocatedBytes",
  "temp",
  "powerWatts",
  "powerPercent",
  "enforcedPowerLimitWatts",
  "smClock",
  "memoryClock",
  "correctedMemoryErrors",
];

/** Keys of a machine with `gpus` GPUs and `cores` cores that are told apart. */
export function machineKeys(gpus: number, cores = 0, label = ""): string[] {
  const numbers = Array.from({ length: gpus }, (_, index) => index);
  const names = [
    ...HOST_KEYS,
    ...Array.from({ length: cores }, (_, index) => `cpu.${index}.cpu_percent`),
    ...numbers.flatMap((index) => GPU_KEYS.map((name) => `gpu.${index}.${name}`)),
    ...numbers.flatMap((index) => ["gpu", "memoryAllocated"].map((name) => `gpu.process.${index}.${name}`)),
  ];
  return names.map((name) => `system.${name}${label === "" ? "" : `/l:${label}`}`);
}

function seedOf(text: string): number {
  let seed = 11;
  for (const character of text) seed = Math.imul(seed, 31) + character.charCodeAt(0);
  return seed;
}

/** Value of sample number `at`. */
export function systemValueAt(run: MockRun, key: string, at: number): number {
  const shape = randomOf(seedOf(run.name + key));
  const [level, speed, phase] = [shape(), shape(), shape()];
  const noise = randomOf(seedOf(`${key}${at}`))();
  const wave = 0.5 + 0.5 * Math.sin(at / (8 + 20 * speed) + phase * 6);
  // an evaluation every so often leaves the devices idle
  const busy = at % 60 > 54 ? 0.1 : 1;
  if (key.includes("process.")) return systemValueAt(run, key.replace("process.", ""), at) * 0.96;
  if (/usagePercent/.test(key)) return 40 + 20 * level + at / 200;
  if (/usageGB/.test(key)) return 380 + at / 20;
  if (/sent|recv|\.in|\.out|Retransmits/.test(key)) {
    const size = key.includes("network") ? 4e6 : 20;
    return (key.includes("Retransmits") ? 1 : size) * (at + Math.floor(at / 40) * (1 + level));
  }
  if (/clock/i.test(key)) return 1200 + 700 * busy - 60 * wave;
  if (/enforcedPowerLimit/.test(key)) return 700;
  if (/powerWatts/.test(key)) return 120 + (460 + 60 * level) * busy + 30 * noise;
  if (/temp/.test(key)) return 38 + 25 * busy + 8 * level + 2 * noise;
  if (/Errors|threads/.test(key)) return Math.floor(level * 40 + (at > 90 ? 3 : 0));
  if (/memoryAllocatedBytes/.test(key)) return (30 + 30 * level + Math.min(at, 20)) * 2 ** 30;
  if (/memoryAllocated/.test(key)) return 50 + 30 * level + Math.min(at, 20) / 2;
  if (/rssMB/.test(key)) return 900 + 6000 * level + at * 2;
  if (/availableMB/.test(key)) return 400_000 - 60_000 * level - at * 2;
  if (/memory/.test(key)) return 20 + 30 * level + 3 * wave;
  return Math.min(100, Math.max(0, (70 + 28 * level * wave) * busy + 6 * noise - 6));
}

/** The series of a key as points; rates as the server makes them. */
export function systemPoints(run: MockRun, key: string, axis: string, rate: boolean) {
  const start = axis === "_timestamp" ? Date.parse(`${run.createdAt}Z`) / 1000 : 0;
  const places = Array.from({ length: run.samples }, (_, at) => at);
  const time = key === "_timestamp" ? Date.parse(`${run.createdAt}Z`) / 1000 : 0;
  const values = places.map((at) =>
    key.startsWith("_") ? time + at * INTERVAL : systemValueAt(run, key, at),
  );
  const x = places.map((at) => start + at * INTERVAL);
  if (!rate) return { x, y: values };
  const rates = values.slice(1).map((value, at) => (value - (values[at] ?? 0)) / INTERVAL);
  return { x: x.slice(1), y: rates };
}
