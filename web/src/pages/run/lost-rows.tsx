import { Link } from "@tanstack/react-router";
import type { RunPath } from "../../api/runs";
import { Icon } from "../../kit/icon";
import css from "./run.module.css";

interface LostRowsProps {
  readonly path: RunPath;
  /** Rows and console lines that the run's processes could not keep, by their own account. */
  readonly count: number;
}

/** Says above everything else of a run that it is not whole. */
export function LostRows({ path, count }: LostRowsProps) {
  if (count === 0) return null;
  return (
    <p className={css.lost} role="status">
      <Icon name="warning" />
      <span>
        {lostText(count)} The{" "}
        <Link to="/$entity/$project/runs/$run/logs" params={path}>
          logs
        </Link>{" "}
        say when and why.
      </span>
    </p>
  );
}

/** What is missing, in words. */
export function lostText(count: number): string {
  const what =
    count === 1 ? "1 row or console line is" : `${count.toLocaleString("en")} rows or console lines are`;
  return `${what} missing from this run: they could not be kept where it was logged.`;
}
