/**
 * What a system metric is, told from its key alone: the family it is shown under, its unit, and the host, device and
 * process it was sampled of. Keys are those of the rows (`system.gpu.0.temp/l:node-1`); the documented ones have titles
 * of their own, every other one gets a title made of its name, so that nothing that was sampled is left out.
 */

import { type Measure, PLAIN, type Unit } from "./measure";

export interface SystemMetric {
  /** As in the rows. */
  readonly key: string;
  /** Section. */
  readonly family: string;
  /** Panel within the section. */
  readonly group: string;
  readonly title: string;
  readonly measure: Measure;
  /** A number that only grows: its rate is what people want to see. */
  readonly counter: boolean;
  /** Label of the host, where several write to one run. */
  readonly host: string | null;
  /** What of the host, as in `GPU 3`; null for the host as a whole. */
  readonly device: string | null;
  /** Of the training process, beside the same of the whole device. */
  readonly process: boolean;
}

/** Sections in their order; those of OpenMetrics endpoints come before the last. */
export const FAMILIES: readonly string[] = [
  "GPU",
  "TPU",
  "Trainium",
  "IPU",
  "CPU",
  "Memory",
  "Process",
  "Disk",
  "Network",
  "Power",
  "Tracker",
];
export const OPEN_METRICS = "OpenMetrics";
export const OTHER = "Other";

/** Where something documented stands: title and unit. */
type Entry = readonly [title: string, measure: Measure];
type Part = Omit<SystemMetric, "key" | "host">;

const of = (unit: Unit, factor = 1): Measure => ({ unit, factor });
const PERCENT = of("percent");
const BYTES = of("bytes");
const MIB = of("bytes", 2 ** 20);
const GIB = of("bytes", 2 ** 30);
const COUNT = of("count");
const CELSIUS = of("celsius");
const WATTS = of("watts");
const MEGAHERTZ = of("megahertz");
const MICROSECONDS = of("seconds", 1e-6);
const BYTES_PER_SECOND = of("bytesPerSecond");

/** Of a GPU, whoever made it: NVML, DCGM, rocm-smi and Apple's share names. */
const GPU = new Map<string, Entry>([
  ["gpu", ["Utilization", PERCENT]],
  ["memoryAllocated", ["Memory allocated %", PERCENT]],
  ["memoryAllocatedBytes", ["Memory allocated", BYTES]],
  ["memoryUsed", ["Memory used", MIB]],
  ["memoryUsedBytes", ["Memory used", BYTES]],
  ["memoryFree", ["Memory free", MIB]],
  ["memoryTotal", ["Memory total", MIB]],
  ["memory", ["Memory access", PERCENT]],
  ["memoryReadWriteActivity", ["Memory access", PERCENT]],
  ["memoryOverDrive", ["Memory overdrive", PERCENT]],
  ["temp", ["Temperature", CELSIUS]],
  ["memoryTemp", ["Memory temperature", CELSIUS]],
  ["maxOpTemp", ["Highest operating temperature", CELSIUS]],
  ["memoryMaxOpTemp", ["Highest operating temperature of the memory", CELSIUS]],
  ["powerWatts", ["Power", WATTS]],
  ["powerPercent", ["Power, share of the limit", PERCENT]],
  ["enforcedPowerLimitWatts", ["Power limit", WATTS]],
  ["totalEnergyConsumption", ["Energy", of("joules", 1e-3)]],
  ["smClock", ["SM clock", MEGAHERTZ]],
  ["graphicsClock", ["Graphics clock", MEGAHERTZ]],
  ["memoryClock", ["Memory clock", MEGAHERTZ]],
  ["freq", ["Clock", MEGAHERTZ]],
  ["fanSpeed", ["Fan speed", PERCENT]],
  ["encoderUtilization", ["Encoder utilization", PERCENT]],
  ["correctedMemoryErrors", ["Corrected memory errors", COUNT]],
  ["uncorrectedMemoryErrors", ["Uncorrected memory errors", COUNT]],
  ["smActive", ["SM active", PERCENT]],
  ["smOccupancy", ["SM occupancy", PERCENT]],
  ["pipeTensorActive", ["Tensor pipe active", PERCENT]],
  ["pipeTensorHmmaActive", ["Tensor pipe (HMMA) active", PERCENT]],
  ["pipeFp64Active", ["FP64 pipe active", PERCENT]],
  ["pipeFp32Active", ["FP32 pipe active", PERCENT]],
  ["pipeFp16Active", ["FP16 pipe active", PERCENT]],
  ["dramActive", ["DRAM active", PERCENT]],
  ["pcieTxBytes", ["PCIe sent", BYTES_PER_SECOND]],
  ["pcieRxBytes", ["PCIe received", BYTES_PER_SECOND]],
  ["nvlinkTxBytes", ["NVLink sent", BYTES_PER_SECOND]],
  ["nvlinkRxBytes", ["NVLink received", BYTES_PER_SECOND]],
  ["pcieLinkSpeed", ["PCIe link speed", of("bytesPerSecond", 1e6)]],
  ["pcieLinkGen", ["PCIe link generation", PLAIN]],
  ["pcieLinkWidth", ["PCIe link width", PLAIN]],
  ["maxPcieLinkGen", ["Highest PCIe link generation", PLAIN]],
  ["maxPcieLinkWidth", ["Highest PCIe link width", PLAIN]],
]);

const TPU = new Map<string, Entry>([
  ["tensorcoreUtilization", ["TensorCore utilization", PERCENT]],
  ["dutyCycle", ["Duty cycle", PERCENT]],
  ["tensorcoreIdleDuration", ["TensorCore idle", of("seconds")]],
  ["hbmMemoryUsage", ["HBM used %", PERCENT]],
  ["hbmCapacityUsage", ["HBM used", BYTES]],
  ["hbmCapacityTotal", ["HBM total", BYTES]],
  ["runtimeHbmUtilization", ["HBM used by the runtime", PERCENT]],
  ["iciLinkHealth", ["ICI link health", PLAIN]],
  ["throttleScore", ["Throttle score", PLAIN]],
]);

const TPU_TIMES = new Map([
  ["bufferTransferLatency", "Buffer transfer latency"],
  ["inboundBufferTransferLatency", "Inbound buffer transfer latency"],
  ["hostToDeviceTransferLatency", "Host to device latency"],
  ["deviceToHostTransferLatency", "Device to host latency"],
  ["collectiveE2ELatency", "Collective latency"],
  ["hostComputeLatency", "Host compute latency"],
  ["grpcTcpMinRtt", "gRPC round trip, smallest"],
  ["grpcTcpDeliveryRate", "gRPC delivery rate"],
  ["hloExecTiming", "HLO execution"],
]);

const IPU_UNITS = new Map<string, Measure>([
  ["%", PERCENT],
  ["C", CELSIUS],
  ["MHz", MEGAHERTZ],
  ["W", WATTS],
]);

const TRAINIUM = new Map<string, Entry>([
  ["neuroncore_utilization", ["NeuronCore utilization", PERCENT]],
  ["host_total_memory_usage", ["Host memory", BYTES]],
  ["neuron_device_total_memory_usage", ["Device memory", BYTES]],
  ["host_memory_usage", ["Host memory by use", BYTES]],
  ["neuroncore_memory_usage", ["NeuronCore memory", BYTES]],
]);

/** Whole keys without a device. */
const HOST = new Map<string, readonly [family: string, ...Entry]>([
  ["cpu", ["CPU", "CPU of the process", PERCENT]],
  ["cpu.avg_temp", ["CPU", "Temperature", CELSIUS]],
  ["cpu.ecpu_percent", ["CPU", "Efficiency cores", PERCENT]],
  ["cpu.pcpu_percent", ["CPU", "Performance cores", PERCENT]],
  ["cpu.ecpu_freq", ["CPU", "Efficiency cores’ clock", MEGAHERTZ]],
  ["cpu.pcpu_freq", ["CPU", "Performance cores’ clock", MEGAHERTZ]],
  ["cpu.powerWatts", ["CPU", "Power", WATTS]],
  ["memory_percent", ["Memory", "Memory used %", PERCENT]],
  ["memory.used_percent", ["Memory", "Memory used %", PERCENT]],
  ["memory.used", ["Memory", "Memory used", BYTES]],
  ["proc.memory.availableMB", ["Memory", "Memory available", MIB]],
  ["swap.used_percent", ["Memory", "Swap used %", PERCENT]],
  ["swap.used", ["Memory", "Swap used", BYTES]],
  ["proc.memory.rssMB", ["Process", "Memory of the process (RSS)", MIB]],
  ["proc.memory.percent", ["Process", "Memory of the process %", PERCENT]],
  ["proc.cpu.threads", ["Process", "Threads", COUNT]],
  ["ane.power", ["Power", "Neural engine", WATTS]],
  ["system.powerWatts", ["Power", "Whole system", WATTS]],
  ["wandb.cpu", ["Tracker", "CPU of the tracker", PERCENT]],
  ["wandb.memory.rssMB", ["Tracker", "Memory of the tracker (RSS)", MIB]],
]);

const COUNTERS = new Map<string, readonly [family: string, ...Entry]>([
  ["network.sent", ["Network", "Sent", BYTES]],
  ["network.recv", ["Network", "Received", BYTES]],
  ["network.tcpRetransmits", ["Network", "TCP retransmits", COUNT]],
  ["disk.in", ["Disk", "Read", MIB]],
  ["disk.out", ["Disk", "Written", MIB]],
]);

const DISK_TITLES = new Map<string, Entry>([
  ["usagePercent", ["Space used %", PERCENT]],
  ["usageGB", ["Space used", GIB]],
  ["in", ["Read", MIB]],
  ["out", ["Written", MIB]],
]);

const PREFIX = "system.";
const LABEL = "/l:";

/** What the metric `key` is. */
export function describeSystemMetric(key: string): SystemMetric {
  const label = key.lastIndexOf(LABEL);
  const host = label < 0 ? null : key.slice(label + LABEL.length);
  const full = label < 0 ? key : key.slice(0, label);
  const name = full.startsWith(PREFIX) ? full.slice(PREFIX.length) : full;
  const part = full.startsWith(PREFIX) ? partOf(name) : other(name);
  return { key, host, ...part };
}

function partOf(name: string): Part {
  const [family, ...entry] = HOST.get(name) ?? [];
  if (family !== undefined && entry.length === 2) return part(family, name, entry);
  const [counted, ...counter] = COUNTERS.get(name) ?? [];
  if (counted !== undefined && counter.length === 2) {
    return { ...part(counted, counterGroup(name), counter), counter: true };
  }
  return (
    core(name) ??
    disk(name) ??
    gpu(name) ??
    tpu(name) ??
    trainium(name) ??
    ipu(name) ??
    openMetrics(name) ??
    other(name)
  );
}

function part(family: string, group: string, [title, measure]: Entry, device: string | null = null): Part {
  return { family, group, title, measure, counter: false, device, process: false };
}

/** The total of older clients stands in the panel of the devices. */
function counterGroup(name: string): string {
  return name.startsWith("disk.") ? name.slice("disk.".length) : name;
}

function core(name: string): Part | null {
  const [, index] = /^cpu\.(\d+)\.cpu_percent$/.exec(name) ?? [];
  return index === undefined ? null : part("CPU", "cores", ["Cores", PERCENT], `Core ${index}`);
}

/** Paths may hold dots, so the name is read from its end. */
function disk(name: string): Part | null {
  const [, device, kind = ""] = /^disk\.(.+)\.(usagePercent|usageGB|in|out)$/.exec(name) ?? [];
  const entry = DISK_TITLES.get(kind);
  if (device === undefined || entry === undefined) return null;
  return { ...part("Disk", kind, entry, device), counter: kind === "in" || kind === "out" };
}

function gpu(name: string): Part | null {
  const ofProcess = numbered(name, /^gpu\.process\.(\d+)\.(.+)$/, "GPU", "GPU", GPU);
  if (ofProcess !== null) return { ...ofProcess, process: true };
  const found = numbered(name, /^gpu\.(\d+)\.(.+)$/, "GPU", "GPU", GPU);
  return found === null ? null : { ...found, counter: found.group === "totalEnergyConsumption" };
}

function tpu(name: string): Part | null {
  const device = numbered(name, /^tpu\.(\d+)\.(.+)$/, "TPU", "TPU", TPU);
  if (device !== null) return device;
  const [, queue] = /^tpu\.hloQueueSize\.(.+)$/.exec(name) ?? [];
  if (queue !== undefined) return part("TPU", "hloQueueSize", ["HLO queue", COUNT], `Core ${queue}`);
  const [, what = "", inner = "", statistic, unit] =
    /^tpu\.([^.]+)(?:\.(.+))?\.([a-z0-9]+)(Us|Mbps)$/.exec(name) ?? [];
  if (statistic === undefined) return null;
  const known = TPU_TIMES.get(what) ?? humanized(what);
  const title = inner === "" ? known : `${known}: ${inner}`;
  const measure = unit === "Us" ? MICROSECONDS : of("bitsPerSecond", 1e6);
  return part("TPU", inner === "" ? what : `${what}.${inner}`, [title, measure], percentile(statistic));
}

/** `p999` is the 99.9th percentile. */
function percentile(statistic: string): string {
  return statistic === "p999" ? "p99.9" : statistic;
}

function trainium(name: string): Part | null {
  const [, core = null, metric = "", use] = /^trn\.(?:(\d+)\.)?([a-z_]+)(?:\.([a-z_]+))?$/.exec(name) ?? [];
  const entry = TRAINIUM.get(metric);
  if (entry === undefined) {
    return numbered(name, /^trn\.(\d+)\.(.+)$/, "Trainium", "Core", TRAINIUM);
  }
  const [title, measure] = entry;
  if (core === null) return part("Trainium", metric, entry, use === undefined ? null : humanized(use));
  const full: Entry = [use === undefined ? title : `${title}: ${humanized(use).toLowerCase()}`, measure];
  return part("Trainium", use === undefined ? metric : `${metric}.${use}`, full, `Core ${core}`);
}

/** Attributes as the vendor's tool prints them, with their units: `average board temp (C)`. */
function ipu(name: string): Part | null {
  const [, index, attribute = "", unit = ""] = /^ipu\.(\d+)\.(.+?)(?: \(([^()]+)\))?$/.exec(name) ?? [];
  if (index === undefined) return null;
  const measure = IPU_UNITS.get(unit);
  // what stands in brackets is a unit, or part of the name
  const title = measure === undefined && unit !== "" ? `${attribute} (${unit})` : attribute;
  const group = measure === undefined ? title : attribute;
  return part("IPU", group, [humanized(title), measure ?? guess(attribute)], `IPU ${index}`);
}

/** Names `prefix.<index>.<metric>` of devices. */
function numbered(
  name: string,
  pattern: RegExp,
  family: string,
  noun: string,
  known: ReadonlyMap<string, Entry>,
): Part | null {
  const [, index, metric] = pattern.exec(name) ?? [];
  if (index === undefined || metric === undefined) return null;
  return part(family, metric, known.get(metric) ?? [humanized(metric), guess(metric)], `${noun} ${index}`);
}

function openMetrics(name: string): Part | null {
  const [, endpoint, metric, index] = /^openmetrics\.(.+)\.([^.]+)\.(\d+)$/.exec(name) ?? [];
  if (endpoint === undefined || metric === undefined || index === undefined) return null;
  const counter = metric.endsWith("_total");
  const measure = guess(counter ? metric.slice(0, -"_total".length) : metric);
  // what is counted without a known unit is things
  const counted = counter && measure.unit === "number" ? COUNT : measure;
  return {
    ...part(`${OPEN_METRICS}: ${endpoint}`, metric, [metric, counted], `Series ${index}`),
    counter,
  };
}

function other(name: string): Part {
  return part(OTHER, name, [name, guess(name)]);
}

const GUESSES: readonly (readonly [RegExp, Measure])[] = [
  [/percent(age)?$|_pct$|utili[sz]ation$|^usage$/i, PERCENT],
  [/bytes?_per_sec(ond)?$/i, BYTES_PER_SECOND],
  [/mb$/i, MIB],
  [/gb$/i, GIB],
  [/bytes$/i, BYTES],
  [/(watts|power)$/i, WATTS],
  [/joules$/i, of("joules")],
  [/(celsius|temp|temperature)$/i, CELSIUS],
  [/(mhz|clock|freq)$/i, MEGAHERTZ],
  [/seconds$/i, of("seconds")],
  [/ratio$/i, PLAIN],
  [/(errors|count|threads)$/i, COUNT],
];

/** The unit that the end of a name suggests. */
function guess(name: string): Measure {
  return GUESSES.find(([pattern]) => pattern.test(name))?.[1] ?? PLAIN;
}

/** `memoryOverDrive`, `dma_buffers` → `Memory over drive`, `Dma buffers`. */
function humanized(name: string): string {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/[_.]+/g, " ")
    .trim()
    .toLowerCase();
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}
