import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Alert, fetchAlerts } from "../../api/alerts";
import type { RunPath } from "../../api/runs";
import { useNow } from "../../app/use-now";
import { Button } from "../../kit/button";
import { Icon } from "../../kit/icon";
import { Failure, Skeleton } from "../../kit/notice";
import { formatAgo, formatTime } from "../../model/format";
import css from "./alerts.module.css";

/** Shown at first; a run that sends more is looked at one page at a time. */
const FIRST = 5;
const ALL = 1000;

interface AlertsProps {
  readonly path: RunPath;
  /** How many the run has: another number means that the list is old. */
  readonly count: number;
}

/** What the run's programs, and the server, found worth telling; nothing for a run without alerts. */
export function Alerts({ path, count }: AlertsProps) {
  const [open, setOpen] = useState(false);
  const first = open ? ALL : FIRST;
  const { entity, project, run } = path;
  const alerts = useQuery({
    queryKey: ["alerts", entity, project, run, first, count],
    queryFn: ({ signal }) => fetchAlerts(path, first, signal),
    placeholderData: keepPreviousData,
    enabled: count > 0,
  });
  if (count === 0) return null;
  return (
    <section className={css.alerts} aria-label="Alerts">
      <h2>
        Alerts <span className={css.count}>{count.toLocaleString("en")}</span>
      </h2>
      {alerts.isError && (
        <Failure
          title="The alerts could not be loaded"
          error={alerts.error}
          onRetry={() => void alerts.refetch()}
        />
      )}
      {alerts.isPending && <Skeleton height={Math.min(count, FIRST) * 52} />}
      <ol>
        {alerts.data?.map((alert) => (
          <AlertItem key={alert.id} alert={alert} />
        ))}
      </ol>
      {count > FIRST && (
        <Button onClick={() => setOpen(!open)}>
          {open ? "Show fewer" : `Show ${count > ALL ? `the newest ${ALL}` : `all ${count}`}`}
        </Button>
      )}
    </section>
  );
}

function AlertItem({ alert }: { readonly alert: Alert }) {
  const now = useNow();
  return (
    <li className={css[alert.severity.toLowerCase()] ?? css.info}>
      <Icon name={alert.severity === "INFO" ? "info" : "warning"} />
      <div>
        <p>
          <strong>
            <span className="visually-hidden">{alert.severity.toLowerCase()}: </span>
            {alert.title}
          </strong>
          <time dateTime={alert.createdAt} title={formatTime(alert.createdAt)}>
            {formatAgo(alert.createdAt, now)}
          </time>
        </p>
        {alert.text !== "" && <pre>{alert.text}</pre>}
      </div>
    </li>
  );
}
