import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { projectQuery } from "../../api/queries";
import { useNow } from "../../app/use-now";
import { Skeleton } from "../../kit/notice";
import { formatAgo, formatCount, formatTime } from "../../model/format";
import css from "./project.module.css";

export function ProjectOverview() {
  const path = useParams({ from: "/$entity/$project" });
  const now = useNow();
  const { data } = useQuery(projectQuery(path));
  return (
    <article className={css.overview}>
      <header>
        <h1>{path.project}</h1>
        {data == null ? <Skeleton width={240} /> : <p>{data.description || "No description."}</p>}
      </header>
      {data != null && (
        <dl className={css.facts}>
          <Fact name="Runs" value={formatCount(data.runCount)} />
          <Fact name="Last activity" value={formatAgo(data.lastActivityAt, now)} />
          <Fact name="Created" value={formatTime(data.createdAt)} />
          <Fact name="Visibility" value={data.access === "USER_READ" ? "Public" : "Private"} />
          <Fact name="Path" value={`${data.entity}/${data.name}`} />
        </dl>
      )}
    </article>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
