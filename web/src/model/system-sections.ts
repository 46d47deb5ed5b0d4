/** System metrics → sections of panels: one panel per thing measured, one line per host, device and process in it. */

import { type Measure, ratePerSecond } from "./measure";
import { naturalOrder } from "./sections";
import { describeSystemMetric, FAMILIES, OPEN_METRICS, type SystemMetric } from "./system-metrics";

export interface SystemLine {
  /** Key of the rows. */
  readonly key: string;
  /** The same for the same device in every panel, so that pointing at it shows it everywhere. */
  readonly group: string;
  readonly name: string;
  /** Place of its device (or host) among all of the section: the same place is the same colour. */
  readonly place: number;
  readonly process: boolean;
}

export interface SystemPanel {
  /** Unique on the page; part of its address. */
  readonly id: string;
  readonly title: string;
  /** What of: the host, where each has a panel of its own, and the device, where it is the only one. */
  readonly note: string | null;
  readonly measure: Measure;
  /** The values only grow; their rate is shown. */
  readonly counter: boolean;
  readonly lines: readonly SystemLine[];
}

export interface SystemSection {
  readonly name: string;
  readonly panels: readonly SystemPanel[];
}

/** Order of panels that people look for first; the others follow in the order of their titles. */
const FIRST = [
  "gpu",
  "memoryAllocated",
  "memoryAllocatedBytes",
  "temp",
  "powerWatts",
  "powerPercent",
  "smClock",
  "memory",
  "tensorcoreUtilization",
  "dutyCycle",
  "hbmMemoryUsage",
  "neuroncore_utilization",
  "cpu",
  "cores",
  "memory_percent",
  "memory.used_percent",
  "memory.used",
  "proc.memory.availableMB",
  "proc.memory.rssMB",
  "proc.memory.percent",
  "usagePercent",
  "usageGB",
  "in",
  "out",
  "network.recv",
  "network.sent",
];

/** Labels of the hosts that wrote the metrics, in natural order. */
export function hostsOf(keys: readonly string[]): string[] {
  const hosts = new Set<string>();
  for (const key of keys) {
    const { host } = describeSystemMetric(key);
    if (host !== null) hosts.add(host);
  }
  return [...hosts].sort(naturalOrder);
}

export interface SectionOptions {
  /** Whether a panel with this text (family, title, keys) is shown. */
  readonly search: (text: string) => boolean;
  /** The one host to show; null for all. */
  readonly host: string | null;
  /** Counters as they were sampled instead of as rates. */
  readonly totals: boolean;
  /** Everything of one kind in one panel, without the lines of processes: for several runs, whose lines these are. */
  readonly combined: boolean;
}

export function systemSectionsOf(keys: readonly string[], options: SectionOptions): SystemSection[] {
  const metrics = keys.map(describeSystemMetric).filter((metric) => !(options.combined && metric.process));
  // colours must not change when a host is picked: places are those among everything
  const places = placesOf(metrics);
  const families = groupBy(
    metrics.filter(({ host }) => options.host === null || host === options.host),
    (metric) => metric.family,
  );
  return [...families]
    .map(([name, members]) => ({ name, panels: panelsOf(members, places, options) }))
    .filter((section) => section.panels.length > 0)
    .sort((a, b) => familyRank(a.name) - familyRank(b.name) || naturalOrder(a.name, b.name));
}

function panelsOf(members: readonly SystemMetric[], places: Places, options: SectionOptions): SystemPanel[] {
  const groups = [...groupBy(members, (metric) => metric.group)];
  groups.sort(
    ([a, [one]], [b, [two]]) =>
      panelRank(a) - panelRank(b) || naturalOrder(one?.title ?? "", two?.title ?? "") || naturalOrder(a, b),
  );
  return groups.flatMap(([, metrics]) => {
    const [first] = metrics;
    if (first === undefined) return [];
    const text = [first.family, first.title, ...metrics.map(({ key }) => key)].join("\n");
    if (!options.search(text)) return [];
    const hosts = options.combined ? new Map([[null, metrics]]) : perHost(metrics);
    return [...hosts].map(([host, own]) => panelOf(first, host, own, places, options.totals));
  });
}

/** Many devices of many hosts in one plot are not told apart: each host gets its own then. */
function perHost(metrics: readonly SystemMetric[]): Map<string | null, readonly SystemMetric[]> {
  const devices = new Set(metrics.map((metric) => metric.device));
  const hosts = new Set(metrics.map((metric) => metric.host));
  if (devices.size < 2 || hosts.size < 2) return new Map([[null, metrics]]);
  const groups = groupBy(metrics, (metric) => metric.host);
  return new Map([...groups].sort(([a], [b]) => naturalOrder(a ?? "", b ?? "")));
}

function panelOf(
  { family, group, title, measure, counter }: SystemMetric,
  host: string | null,
  metrics: readonly SystemMetric[],
  places: Places,
  totals: boolean,
): SystemPanel {
  const several = new Set(metrics.map((metric) => metric.host)).size > 1;
  const lines = metrics.map((metric): SystemLine => {
    const names = [metric.device, several ? metric.host : null, metric.process ? "process" : null];
    const name = names.filter((part) => part !== null).join(" · ");
    return {
      key: metric.key,
      group: `${family} ${metric.device ?? ""}@${metric.host ?? ""}`,
      name: name === "" ? title : name,
      place: places.get(placeId(metric, metric.device === null || several)) ?? 0,
      process: metric.process,
    };
  });
  return {
    id: `${family}/${group}${host === null ? "" : `@${host}`}`,
    title,
    note: noteOf(host, metrics),
    measure: counter && !totals ? ratePerSecond(measure) : measure,
    counter: counter && !totals,
    lines: lines.sort((a, b) => Number(a.process) - Number(b.process) || naturalOrder(a.name, b.name)),
  };
}

function noteOf(host: string | null, metrics: readonly SystemMetric[]): string | null {
  const [first, ...others] = metrics;
  const only = others.every((metric) => metric.device === first?.device && metric.host === first?.host);
  const parts = [host, only ? (first?.device ?? null) : null].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join(" · ");
}

type Places = ReadonlyMap<string, number>;

function placesOf(metrics: readonly SystemMetric[]): Places {
  const hosts = [...new Set(metrics.map((metric) => metric.host ?? ""))].sort(naturalOrder);
  const places = new Map(hosts.map((host, at) => [`host ${host}`, at]));
  for (const [family, members] of groupBy(metrics, (metric) => metric.family)) {
    const devices = [...new Set(members.flatMap(({ device }) => (device === null ? [] : [device])))];
    devices.sort(naturalOrder).forEach((device, at) => {
      places.set(`${family} ${device}`, at);
    });
  }
  return places;
}

function placeId(metric: SystemMetric, byHost: boolean): string {
  return byHost ? `host ${metric.host ?? ""}` : `${metric.family} ${metric.device}`;
}

function familyRank(name: string): number {
  const at = FAMILIES.indexOf(name);
  if (at >= 0) return at;
  return name.startsWith(OPEN_METRICS) ? FAMILIES.length : FAMILIES.length + 1;
}

function panelRank(id: string): number {
  const at = FIRST.indexOf(id);
  return at < 0 ? FIRST.length : at;
}

function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
