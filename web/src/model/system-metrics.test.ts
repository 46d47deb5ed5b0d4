import { describe, expect, it } from "vitest";
import { formatMeasure } from "./measure";
import { describeSystemMetric, FAMILIES, OTHER } from "./system-metrics";
import { hostsOf, type SectionOptions, systemSectionsOf } from "./system-sections";

const GPU_NAMES =
  "gpu memory memoryAllocated memoryAllocatedBytes temp powerWatts enforcedPowerLimitWatts powerPercent smClock memoryClock graphicsClock correctedMemoryErrors uncorrectedMemoryErrors fanSpeed encoderUtilization pcieLinkGen pcieLinkWidth maxPcieLinkGen maxPcieLinkWidth pcieLinkSpeed smActive smOccupancy pipeTensorActive dramActive pipeFp64Active pipeFp32Active pipeFp16Active pipeTensorHmmaActive pcieTxBytes pcieRxBytes nvlinkTxBytes nvlinkRxBytes memoryUsed memoryTotal memoryFree memoryTemp maxOpTemp memoryMaxOpTemp totalEnergyConsumption memoryReadWriteActivity memoryOverDrive freq".split(
    " ",
  );
const PROCESS_NAMES =
  "gpu memory memoryAllocated memoryAllocatedBytes temp powerWatts enforcedPowerLimitWatts powerPercent".split(
    " ",
  );
const TPU_NAMES =
  "tensorcoreUtilization tensorcoreIdleDuration dutyCycle hbmCapacityTotal hbmCapacityUsage hbmMemoryUsage runtimeHbmUtilization iciLinkHealth throttleScore".split(
    " ",
  );
const TPU_TIMES =
  "bufferTransferLatency inboundBufferTransferLatency hostToDeviceTransferLatency deviceToHostTransferLatency collectiveE2ELatency hostComputeLatency grpcTcpMinRtt hloExecTiming.main".split(
    " ",
  );
const STATISTICS = ["mean", "p50", "p90", "p95", "p999"];

/** Every key that the reference documents, with the family it belongs to. */
const DOCUMENTED: readonly (readonly [key: string, family: string])[] = [
  ["cpu", "CPU"],
  ["cpu.0.cpu_percent", "CPU"],
  ["cpu.127.cpu_percent", "CPU"],
  ["proc.cpu.threads", "Process"],
  ["proc.memory.rssMB", "Process"],
  ["proc.memory.percent", "Process"],
  ["proc.memory.availableMB", "Memory"],
  ["memory_percent", "Memory"],
  ["disk./.usagePercent", "Disk"],
  ["disk./mnt/data.v2.usageGB", "Disk"],
  ["disk.nvme0n1.in", "Disk"],
  ["disk.nvme0n1.out", "Disk"],
  ["disk.in", "Disk"],
  ["disk.out", "Disk"],
  ["network.sent", "Network"],
  ["network.recv", "Network"],
  ["network.tcpRetransmits", "Network"],
  ["wandb.cpu", "Tracker"],
  ["wandb.memory.rssMB", "Tracker"],
  ...GPU_NAMES.map((name) => [`gpu.0.${name}`, "GPU"] as const),
  ...PROCESS_NAMES.map((name) => [`gpu.process.3.${name}`, "GPU"] as const),
  ...["avg_temp", "ecpu_freq", "pcpu_freq", "ecpu_percent", "pcpu_percent", "powerWatts"].map(
    (name) => [`cpu.${name}`, "CPU"] as const,
  ),
  ["ane.power", "Power"],
  ["system.powerWatts", "Power"],
  ["memory.used", "Memory"],
  ["memory.used_percent", "Memory"],
  ["swap.used", "Memory"],
  ["swap.used_percent", "Memory"],
  ...TPU_NAMES.map((name) => [`tpu.2.${name}`, "TPU"] as const),
  ...TPU_TIMES.flatMap((name) => STATISTICS.map((part) => [`tpu.${name}.${part}Us`, "TPU"] as const)),
  ...STATISTICS.map((part) => [`tpu.collectiveE2ELatency.8MB+.${part}Us`, "TPU"] as const),
  ...STATISTICS.map((part) => [`tpu.grpcTcpDeliveryRate.${part}Mbps`, "TPU"] as const),
  ["tpu.hloQueueSize.0", "TPU"],
  ["trn.4.neuroncore_utilization", "Trainium"],
  ["trn.host_total_memory_usage", "Trainium"],
  ["trn.neuron_device_total_memory_usage", "Trainium"],
  ...["application_memory", "constants", "dma_buffers", "tensors"].map(
    (use) => [`trn.host_memory_usage.${use}`, "Trainium"] as const,
  ),
  ...["constants", "model_code", "model_shared_scratchpad", "runtime_memory", "tensors"].map(
    (use) => [`trn.1.neuroncore_memory_usage.${use}`, "Trainium"] as const,
  ),
  ["openmetrics.node.node_load1.0", "OpenMetrics: node"],
  ["openmetrics.my.dcgm.DCGM_FI_DEV_GPU_TEMP.7", "OpenMetrics: my.dcgm"],
];

/** Of a documented key: title, value 1500 in its unit, device, and whether it is a counter. */
function told(name: string): string {
  const { title, measure, device, counter } = describeSystemMetric(`system.${name}`);
  return [title, formatMeasure(1500, measure), device ?? "-", counter ? "counter" : "value"].join(" | ");
}

describe("describeSystemMetric", () => {
  it.each(DOCUMENTED)("puts %s under %s", (key, family) => {
    const metric = describeSystemMetric(`system.${key}`);
    expect(metric.family).toBe(family);
    expect(metric.host).toBeNull();
    // with the label of a host it is the same of that host
    expect(describeSystemMetric(`system.${key}/l:node-1`)).toEqual({
      ...metric,
      key: `system.${key}/l:node-1`,
      host: "node-1",
    });
  });

  it("gives every documented GPU metric a title of its own and a unit", () => {
    const titles = GPU_NAMES.map((name) => describeSystemMetric(`system.gpu.0.${name}`));
    const plain = titles.filter(({ measure }) => measure.unit === "number").map(({ group }) => group);
    expect(plain).toEqual(["pcieLinkGen", "pcieLinkWidth", "maxPcieLinkGen", "maxPcieLinkWidth"]);
  });

  it.each([
    ["cpu", "CPU of the process | 1,500% | - | value"],
    ["cpu.12.cpu_percent", "Cores | 1,500% | Core 12 | value"],
    ["proc.memory.rssMB", "Memory of the process (RSS) | 1.465 GiB | - | value"],
    ["proc.cpu.threads", "Threads | 1.5k | - | value"],
    ["disk./mnt/data.v2.usageGB", "Space used | 1.465 TiB | /mnt/data.v2 | value"],
    ["disk.nvme0n1.in", "Read | 1.465 GiB | nvme0n1 | counter"],
    ["disk.out", "Written | 1.465 GiB | - | counter"],
    ["network.recv", "Received | 1.465 KiB | - | counter"],
    ["network.tcpRetransmits", "TCP retransmits | 1.5k | - | counter"],
    ["gpu.3.gpu", "Utilization | 1,500% | GPU 3 | value"],
    ["gpu.3.powerWatts", "Power | 1.5 kW | GPU 3 | value"],
    ["gpu.3.temp", "Temperature | 1,500 °C | GPU 3 | value"],
    ["gpu.3.smClock", "SM clock | 1,500 MHz | GPU 3 | value"],
    ["gpu.3.memoryUsed", "Memory used | 1.465 GiB | GPU 3 | value"],
    ["gpu.3.nvlinkTxBytes", "NVLink sent | 1.465 KiB/s | GPU 3 | value"],
    ["gpu.3.totalEnergyConsumption", "Energy | 1.5 J | GPU 3 | counter"],
    ["gpu.3.someNewThingPercent", "Some new thing percent | 1,500% | GPU 3 | value"],
    ["tpu.collectiveE2ELatency.8MB+.p999Us", "Collective latency: 8MB+ | 1.5 ms | p99.9 | value"],
    ["tpu.grpcTcpDeliveryRate.meanMbps", "gRPC delivery rate | 1.5 Gbit/s | mean | value"],
    ["trn.host_memory_usage.dma_buffers", "Host memory by use | 1.465 KiB | Dma buffers | value"],
    ["trn.1.neuroncore_memory_usage.tensors", "NeuronCore memory: tensors | 1.465 KiB | Core 1 | value"],
    ["ipu.0.average board temp (C)", "Average board temp | 1,500 °C | IPU 0 | value"],
    ["ipu.3.clock (MHz)", "Clock | 1,500 MHz | IPU 3 | value"],
    ["ipu.3.ipu utilisation (session) (%)", "Ipu utilisation (session) | 1,500% | IPU 3 | value"],
    ["ipu.3.link speed (GT/s)", "Link speed (gt/s) | 1,500 | IPU 3 | value"],
    ["openmetrics.a.http_requests_total.2", "http_requests_total | 1.5k | Series 2 | counter"],
    [
      "openmetrics.a.process_resident_memory_bytes.0",
      "process_resident_memory_bytes | 1.465 KiB | Series 0 | value",
    ],
    ["swap.used_percent", "Swap used % | 1,500% | - | value"],
  ])("%s is: %s", (name, text) => {
    expect(told(name)).toBe(text);
  });

  it("tells lines of the training process from those of the device", () => {
    expect(describeSystemMetric("system.gpu.process.1.gpu")).toMatchObject({ group: "gpu", process: true });
    expect(describeSystemMetric("system.gpu.1.gpu")).toMatchObject({ group: "gpu", process: false });
  });

  it.each([
    "system.fan.rpm",
    "weird",
    "system.",
    "system.gpu",
    "system.gpu.x.temp",
    "system.openmetrics.a.b",
  ])("loses nothing: %s", (key) => {
    expect(describeSystemMetric(key)).toMatchObject({ key, family: OTHER });
  });

  it("takes the last label, whatever is in it", () => {
    expect(describeSystemMetric("system.disk./l:a.usageGB/l:b/c").host).toBe("b/c");
  });
});

const ALL: SectionOptions = { search: () => true, host: null, totals: false, combined: false };

function shown(keys: readonly string[], options: Partial<SectionOptions> = {}) {
  return systemSectionsOf(keys, { ...ALL, ...options }).map(({ name, panels }) => [
    name,
    panels.map(({ id, lines }) => [id, lines.map((line) => line.name)]),
  ]);
}

describe("systemSectionsOf", () => {
  it("shows every key exactly once", () => {
    const keys = DOCUMENTED.map(([key]) => `system.${key}`);
    const sections = systemSectionsOf(keys, ALL);
    const found = sections.flatMap(({ panels }) =>
      panels.flatMap(({ lines }) => lines.map(({ key }) => key)),
    );
    expect(found.sort()).toEqual([...keys].sort());
    const ids = sections.flatMap(({ panels }) => panels.map(({ id }) => id));
    expect(new Set(ids).size).toBe(ids.length);
    const names = sections.map(({ name }) => name);
    expect(names.filter((name) => !name.startsWith("OpenMetrics"))).toEqual(
      FAMILIES.filter((family) => names.includes(family)),
    );
  });

  it("draws devices and their processes into one panel, processes last", () => {
    const keys = ["gpu.10.gpu", "gpu.2.gpu", "gpu.process.2.gpu", "gpu.2.temp"].map((key) => `system.${key}`);
    expect(shown(keys)).toEqual([
      [
        "GPU",
        [
          ["GPU/gpu", ["GPU 2", "GPU 10", "GPU 2 · process"]],
          ["GPU/temp", ["GPU 2"]],
        ],
      ],
    ]);
    const [panel] = systemSectionsOf(keys, ALL)[0]?.panels ?? [];
    expect(panel?.lines.map((line) => [line.place, line.process])).toEqual([
      [0, false],
      [1, false],
      [0, true],
    ]);
    expect(panel?.lines[0]?.group).toBe(panel?.lines[2]?.group);
  });

  it("compares hosts in one panel, but gives each its own where it has several devices", () => {
    const keys = ["a", "b"].flatMap((host) =>
      ["cpu", "gpu.0.gpu", "gpu.1.gpu"].map((name) => `system.${name}/l:${host}`),
    );
    expect(hostsOf(keys)).toEqual(["a", "b"]);
    expect(shown(keys)).toEqual([
      [
        "GPU",
        [
          ["GPU/gpu@a", ["GPU 0", "GPU 1"]],
          ["GPU/gpu@b", ["GPU 0", "GPU 1"]],
        ],
      ],
      ["CPU", [["CPU/cpu", ["a", "b"]]]],
    ]);
    const one = systemSectionsOf(keys, { ...ALL, host: "b" });
    expect(one.flatMap(({ panels }) => panels.map(({ id }) => id))).toEqual(["GPU/gpu", "CPU/cpu"]);
    // a host keeps its colour when it is picked
    expect(one[1]?.panels[0]?.lines[0]?.place).toBe(1);
  });

  it("notes beside the title what a panel is of", () => {
    const notes = (keys: readonly string[], host: string | null = null) =>
      systemSectionsOf(
        keys.map((key) => `system.${key}`),
        { ...ALL, host },
      ).flatMap(({ panels }) => panels.map(({ note }) => note));
    expect(notes(["disk.vda.in"])).toEqual(["vda"]);
    expect(notes(["gpu.0.gpu", "gpu.process.0.gpu"])).toEqual(["GPU 0"]);
    expect(notes(["gpu.0.gpu", "gpu.1.gpu"])).toEqual([null]);
    expect(notes(["cpu"])).toEqual([null]);
    expect(notes(["gpu.0.gpu/l:a", "gpu.1.gpu/l:a", "gpu.0.gpu/l:b"])).toEqual(["a", "b · GPU 0"]);
    expect(notes(["gpu.0.gpu/l:a", "gpu.0.gpu/l:b"])).toEqual([null]);
  });

  it("lets several runs share a panel: no hosts apart, no processes", () => {
    const keys = ["a", "b"].flatMap((host) =>
      ["gpu.0.gpu", "gpu.1.gpu", "gpu.process.1.gpu"].map((name) => `system.${name}/l:${host}`),
    );
    expect(shown(keys, { combined: true })).toEqual([
      ["GPU", [["GPU/gpu", ["GPU 0 · a", "GPU 0 · b", "GPU 1 · a", "GPU 1 · b"]]]],
    ]);
  });

  it("shows counters as rates, or as they are", () => {
    const [panel] = systemSectionsOf(["system.network.sent"], ALL)[0]?.panels ?? [];
    expect([panel?.counter, panel?.measure.unit]).toEqual([true, "bytesPerSecond"]);
    const [total] = systemSectionsOf(["system.network.sent"], { ...ALL, totals: true })[0]?.panels ?? [];
    expect([total?.counter, total?.measure.unit]).toEqual([false, "bytes"]);
  });

  it("finds panels by family, title or key", () => {
    const keys = ["system.cpu", "system.network.recv", "system.gpu.0.temp"];
    const names = (text: string) =>
      shown(keys, { search: (all) => all.toLowerCase().includes(text) }).map(([name]) => name);
    expect([names("gpu"), names("received"), names("network.recv"), names("nothing")]).toEqual([
      ["GPU"],
      ["Network"],
      ["Network"],
      [],
    ]);
  });
});
