import type { ErrorComponentProps } from "@tanstack/react-router";
import { Failure } from "../kit/notice";

/** A page that failed while drawing or arriving. After an upgrade of the server the old page's parts are gone, so a retry loads all. */
export function RouteFailure({ error }: ErrorComponentProps) {
  const cause = error instanceof Error ? error : new Error(String(error));
  return (
    <Failure title="This page could not be drawn" error={cause} onRetry={() => window.location.reload()} />
  );
}
