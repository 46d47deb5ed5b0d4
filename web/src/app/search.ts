/** View state in the URL: short names, plain text values. */

export interface Search {
  /** Search among runs or, on the logs and overview tabs, within the page. */
  readonly q?: string;
  /** Search among metrics. */
  readonly m?: string;
  /** Selected run ids, comma separated, each escaped; absent means the automatic selection. */
  readonly sel?: string;
  readonly sort?: string;
  readonly x?: string;
  readonly zoom?: string;
  readonly logy?: string;
  readonly smooth?: string;
  readonly band?: string;
  /** Collapsed sections, as `sel`. */
  readonly closed?: string;
  /** Metric of the panel in full screen. */
  readonly panel?: string;
  /** Step whose media are shown; absent means the last one, also when it moves on. */
  readonly step?: string;
  /** Place of the image in full screen among those of its panel. */
  readonly image?: string;
  /** Order and filter of the table in full screen. */
  readonly order?: string;
  readonly rows?: string;
  /** Label of the host whose system metrics are shown. */
  readonly host?: string;
  /** Counters among the system metrics: `total` shows them as they were sampled instead of as rates. */
  readonly counters?: string;
  /** System metrics of the workspace: `open`, or the panel in full screen. */
  readonly system?: string;
  /** Open file of the files tab. */
  readonly file?: string;
  /** Run whose code is compared with that of this one. */
  readonly with?: string;
  /** Console lines: only those with this label, of this level, of this process. */
  readonly label?: string;
  readonly level?: string;
  readonly writer?: string;
  /** Console lines: `wrap` breaks long ones; `elapsed` shows times since the start. */
  readonly lines?: string;
  readonly time?: string;
}

export type SearchName = keyof Search;
export type SearchPatch = { readonly [Name in SearchName]?: string | undefined };

const NAMES: readonly SearchName[] = [
  "q",
  "m",
  "sel",
  "sort",
  "x",
  "zoom",
  "logy",
  "smooth",
  "band",
  "closed",
  "panel",
  "step",
  "image",
  "order",
  "rows",
  "host",
  "counters",
  "system",
  "file",
  "with",
  "label",
  "level",
  "writer",
  "lines",
  "time",
];

/** The known members that are text; anything else in the URL is ignored. */
export function readSearch(raw: Record<string, unknown>): Search {
  const search: { [Name in SearchName]?: string } = {};
  for (const name of NAMES) {
    const value = raw[name];
    if (typeof value === "string") search[name] = value;
  }
  return search;
}

export function mergeSearch(before: Search, patch: SearchPatch): Search {
  return readSearch({ ...before, ...patch });
}

/** How plots are looked at: what the tabs of a run share. */
export function axisOf({ x, zoom, logy, smooth, band }: Search): Search {
  return mergeSearch({}, { x, zoom, logy, smooth, band });
}

export function parseSearchText(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === "string") params.set(name, value);
  }
  const text = params.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text === "" ? "" : `?${text}`;
}

/** Names joined by commas; commas inside names are escaped. */
export function joinNames(names: readonly string[]): string {
  return names.map(encodeURIComponent).join(",");
}

export function splitNames(text: string | undefined): string[] {
  if (text === undefined || text === "") return [];
  return text.split(",").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}
