import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { runQuery, sessionQuery } from "../api/queries";
import { signOut } from "../api/session";
import { Button } from "../kit/button";
import { Icon } from "../kit/icon";
import kit from "../kit/kit.module.css";
import { Popover, PopoverClose } from "../kit/popover";
import { useStore } from "../model/store";
import { liveStatus } from "./live";
import css from "./shell.module.css";

export function TopBar({ onPalette }: { readonly onPalette: () => void }) {
  return (
    <header className={css.bar}>
      <Link to="/" className={css.brand} aria-label="runlane home">
        <img src="/icon.svg" alt="" width="24" height="24" />
        <span>runlane</span>
      </Link>
      <Breadcrumb />
      <span className={css.space} />
      <LiveNote />
      <Button onClick={onPalette} className={css.palette ?? ""} aria-label="Go to">
        <Icon name="search" />
        <span>Go to…</span>
        <kbd className={kit.kbd}>⌘K</kbd>
      </Button>
      <AccountMenu />
    </header>
  );
}

function Breadcrumb() {
  const { entity, project, run } = useParams({ strict: false });
  if (entity === undefined) return null;
  return (
    <nav className={css.crumbs} aria-label="Breadcrumb">
      <Link to="/$entity" params={{ entity }}>
        {entity}
      </Link>
      {project !== undefined && (
        <Link to="/$entity/$project" params={{ entity, project }}>
          {project}
        </Link>
      )}
      {project !== undefined && run !== undefined && <RunCrumb entity={entity} project={project} run={run} />}
    </nav>
  );
}

function RunCrumb(path: { readonly entity: string; readonly project: string; readonly run: string }) {
  const { data } = useQuery(runQuery(path));
  return (
    <Link to="/$entity/$project/runs/$run" params={path}>
      {data?.displayName ?? path.run}
    </Link>
  );
}

/** Says when what is shown may be old. */
function LiveNote() {
  const status = useStore(liveStatus);
  if (status !== "interrupted") return null;
  return (
    <span className={css.interrupted} role="status">
      Live updates interrupted, reconnecting…
    </span>
  );
}

function AccountMenu() {
  const { data } = useQuery(sessionQuery());
  if (data === undefined) return null;
  const leave = async () => {
    await signOut();
    // a fresh page: nothing that was loaded for this person stays in memory
    window.location.assign("/");
  };
  const trigger = (
    <button type="button" className={kit.icon} aria-label="Account" title={data.username}>
      <Icon name="user" />
    </button>
  );
  return (
    <Popover trigger={trigger} label="Account">
      <div className={css.account}>
        <strong>{data.username}</strong>
        <PopoverClose>
          <Link to="/$entity" params={{ entity: data.entity }}>
            Your projects
          </Link>
        </PopoverClose>
        <PopoverClose>
          <Link to="/authorize">API key</Link>
        </PopoverClose>
        <Button onClick={() => void leave()}>Sign out</Button>
        {data.version !== "" && <small>runlane {data.version}</small>}
      </div>
    </Popover>
  );
}
