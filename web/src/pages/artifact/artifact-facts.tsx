import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { ArtifactDetail, ArtifactPath, RunLink } from "../../api/artifacts";
import { CopyButton } from "../../kit/notice";
import { ValueTree } from "../../kit/value-tree";
import { formatCount, formatTime, parseTime } from "../../model/format";
import css from "./artifact.module.css";

interface ArtifactFactsProps {
  readonly artifact: ArtifactDetail;
  readonly path: ArtifactPath;
}

/** What is known of a version besides its files. */
export function ArtifactFacts({ artifact, path }: ArtifactFactsProps) {
  const version = artifact.place === null ? path.version : `v${artifact.place}`;
  const full = `${path.entity}/${path.project}/${artifact.collection}:${version}`;
  const { home } = artifact;
  const isHome =
    artifact.collection === artifact.name && home.entity === path.entity && home.project === path.project;
  const more = artifact.usedByTotal - artifact.usedBy.length;
  return (
    <div className={css.facts}>
      <dl>
        <Fact name="Full name" copy={full}>
          <code>{full}</code>
        </Fact>
        <Fact name="Type">{artifact.type}</Fact>
        <Fact name="Aliases">{artifact.aliases.length > 0 && <Tags names={artifact.aliases} />}</Fact>
        <Fact name="Tags">{artifact.tags.length > 0 && <Tags names={artifact.tags} />}</Fact>
        <Fact name="Source">
          {!isHome && home.project !== "" && (
            <Link
              to="/$entity/$project/artifacts/$type/$name/$version"
              params={{
                ...home,
                type: artifact.type,
                name: artifact.name,
                version: `v${artifact.versionIndex}`,
              }}
            >
              {sourceName(artifact, path)}
            </Link>
          )}
        </Fact>
        <Fact name="Logged by">
          {typeof artifact.loggedBy === "string"
            ? artifact.loggedBy
            : artifact.loggedBy !== null && <Run run={artifact.loggedBy} here={path} />}
        </Fact>
        <Fact name="At step">{artifact.historyStep === null ? null : String(artifact.historyStep)}</Fact>
        <Fact name="Used by">
          {artifact.usedBy.length > 0 && (
            <ul>
              {artifact.usedBy.map((run) => (
                <li key={`${run.entity}/${run.project}/${run.run}`}>
                  <Run run={run} here={path} />
                </li>
              ))}
              {more > 0 && <li className={css.muted}>{formatCount(more)} more</li>}
            </ul>
          )}
        </Fact>
        <Fact name="Created">{formatTime(artifact.createdAt)}</Fact>
        <Fact name="Changed">{artifact.updatedAt === null ? null : formatTime(artifact.updatedAt)}</Fact>
        <Fact name="Expires">
          {artifact.ttlSeconds !== null &&
            formatTime(new Date(parseTime(artifact.createdAt) + artifact.ttlSeconds * 1000).toISOString())}
        </Fact>
        <Fact name="Digest" copy={artifact.digest}>
          <code>{artifact.digest}</code>
          <span className={css.muted}>{artifact.digestAlgorithm.replace("MANIFEST_", "").toLowerCase()}</span>
        </Fact>
      </dl>
      {artifact.description !== "" && (
        <section aria-label="Description" className={css.description}>
          <h2>Description</h2>
          <p>{artifact.description}</p>
        </section>
      )}
      <ValueTree
        title="Metadata"
        root={artifact.metadata}
        query=""
        empty="No metadata. Artifact(…, metadata={…}) puts values here."
      />
    </div>
  );
}

/** The version by its home; one of another project says where it is. */
function sourceName({ home, name, versionIndex }: ArtifactDetail, here: ArtifactPath): string {
  const version = `${name}:v${versionIndex}`;
  const isHere = home.entity === here.entity && home.project === here.project;
  return isHere ? version : `${home.entity}/${home.project}/${version}`;
}

function Tags({ names }: { readonly names: readonly string[] }) {
  return names.map((name) => (
    <span key={name} className={css.tag}>
      {name}
    </span>
  ));
}

/** A run by name; one of another project says where it is. */
function Run({ run, here }: { readonly run: RunLink; readonly here: ArtifactPath }) {
  const isHere = run.entity === here.entity && run.project === here.project;
  const { entity, project, displayName } = run;
  return (
    <Link to="/$entity/$project/runs/$run" params={{ entity, project, run: run.run }} title={run.run}>
      {isHere ? displayName : `${entity}/${project}/${displayName}`}
    </Link>
  );
}

interface FactProps {
  readonly name: string;
  readonly children: ReactNode;
  readonly copy?: string;
}

/** One fact; facts that are not known are left out. */
function Fact({ name, children, copy }: FactProps) {
  if (children === null || children === false) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
      {copy !== undefined && <CopyButton text={copy} label={`Copy ${name.toLowerCase()}`} />}
    </div>
  );
}
