import { useQuery } from "@tanstack/react-query";
import { Outlet, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { isSignedOut } from "../api/http";
import { sessionQuery } from "../api/queries";
import { Failure } from "../kit/notice";
import { SignInPage } from "../pages/signin/sign-in-page";
import { CommandPalette } from "./command-palette";
import { useLiveUpdates } from "./live";
import css from "./shell.module.css";
import { ShortcutsDialog } from "./shortcuts-dialog";
import { TopBar } from "./top-bar";
import { useShortcuts } from "./use-shortcuts";

/** In the frame of a notebook (`?jupyter=true`) pages go without the bar; it stays away while that frame moves on. */
const isEmbedded = new URLSearchParams(window.location.search).get("jupyter") === "true";

/** Frame of every page; shows the sign-in page instead to whoever is signed out, at the same address. */
export function Shell() {
  const session = useQuery(sessionQuery());
  if (session.isPending) return <div className={css.blank} />;
  if (session.isError && isSignedOut(session.error)) return <SignInPage />;
  if (session.data === undefined) {
    return (
      <Failure
        title="runlane does not answer"
        error={session.error ?? new Error("no answer")}
        onRetry={() => void session.refetch()}
      />
    );
  }
  return <Frame />;
}

type Overlay = "palette" | "shortcuts" | null;

function Frame() {
  const { entity, project } = useParams({ strict: false });
  useLiveUpdates({ entity, project });
  const [overlay, setOverlay] = useState<Overlay>(null);
  useShortcuts({ onPalette: () => setOverlay("palette"), onHelp: () => setOverlay("shortcuts") });
  const close = () => setOverlay(null);
  return (
    <div className={isEmbedded ? css.embedded : css.shell}>
      {!isEmbedded && <TopBar onPalette={() => setOverlay("palette")} />}
      <main className={css.main}>
        <Outlet />
      </main>
      {overlay === "palette" && <CommandPalette onClose={close} onHelp={() => setOverlay("shortcuts")} />}
      {overlay === "shortcuts" && <ShortcutsDialog onClose={close} />}
    </div>
  );
}
