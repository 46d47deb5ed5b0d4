import { RunSwatch } from "../../kit/run-swatch";
import { hoveredGroup } from "../../model/hover";
import type { LineSource } from "../line/sources";
import { commonPrefix } from "./names";
import css from "./system.module.css";

interface LegendProps {
  readonly lines: readonly (LineSource & { readonly process: boolean })[];
}

/** Names of the lines by their colours; the process's lines, the same colours in dots, are named once. */
export function Legend({ lines }: LegendProps) {
  const whole = lines.filter((line) => !line.process);
  const shown = whole.length > 0 ? whole : lines;
  const processes = lines.length - whole.length;
  const prefix = commonPrefix(shown.map((line) => line.name));
  return (
    <ul className={css.legend} aria-label="Lines">
      {prefix !== "" && <li aria-hidden="true">{prefix.trim()}</li>}
      {shown.map((line) => (
        <li
          key={line.id}
          title={line.name}
          onPointerEnter={() => hoveredGroup.set(line.group)}
          onPointerLeave={() => hoveredGroup.set(null)}
        >
          <RunSwatch colour={line.colour} dash={line.dash} />
          {line.name.slice(prefix.length)}
        </li>
      ))}
      {processes > 0 && whole.length > 0 && (
        <li>
          <RunSwatch colour="var(--text-muted)" dash={[2, 3]} />
          this process
        </li>
      )}
    </ul>
  );
}
