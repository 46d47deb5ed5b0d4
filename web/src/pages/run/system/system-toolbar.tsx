import { useSearchState } from "../../../app/use-search-state";
import { Button } from "../../../kit/button";
import { Icon } from "../../../kit/icon";
import { SearchField } from "../../../kit/search-field";
import { Segmented } from "../../../kit/segmented";
import { matcherOf } from "../../../model/search";
import type { TimeAxis } from "../../../panels/system/use-time-axis";
import css from "./system.module.css";

interface SystemToolbarProps {
  readonly hosts: readonly string[];
  readonly host: string | null;
  readonly totals: boolean;
  readonly axis: TimeAxis;
}

/** Hosts that fit side by side; more are chosen from a list. */
const FEW_HOSTS = 4;
const ALL_HOSTS = "";

export function SystemToolbar({ hosts, host, totals, axis }: SystemToolbarProps) {
  const [search, change] = useSearchState();
  const query = search.m ?? "";
  const { settings, setAxis, onZoom } = axis;
  const pick = (name: string) => change({ host: name === ALL_HOSTS ? undefined : name });
  return (
    <div className={css.toolbar}>
      <SearchField
        main
        label="Search system metrics (regex)"
        value={query}
        onChange={(text) => change({ m: text === "" ? undefined : text })}
        invalid={matcherOf(query).invalid}
      />
      {hosts.length > 1 && hosts.length <= FEW_HOSTS && (
        <Segmented
          label="Host"
          value={host ?? ALL_HOSTS}
          options={[[ALL_HOSTS, "All hosts"], ...hosts.map((name) => [name, name] as const)]}
          onChange={pick}
        />
      )}
      {hosts.length > FEW_HOSTS && (
        <select
          className={css.select}
          aria-label="Host"
          value={host ?? ALL_HOSTS}
          onChange={(event) => pick(event.target.value)}
        >
          <option value={ALL_HOSTS}>All {hosts.length} hosts</option>
          {hosts.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      )}
      <span className={css.space} />
      {settings.zoom !== null && (
        <Button onClick={() => onZoom(null)}>
          <Icon name="resetZoom" /> Reset zoom
        </Button>
      )}
      <Segmented
        label="Counters"
        value={totals ? "total" : "rate"}
        options={[
          ["rate", "Rates"],
          ["total", "Totals"],
        ]}
        onChange={(counters) => change({ counters: counters === "rate" ? undefined : counters })}
      />
      <Segmented
        label="X axis"
        value={settings.xAxis === "_timestamp" ? "_timestamp" : "_runtime"}
        options={[
          ["_runtime", "Relative"],
          ["_timestamp", "Wall time"],
        ]}
        onChange={(next) => void setAxis(next)}
      />
    </div>
  );
}
