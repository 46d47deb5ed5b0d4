import type { ErrorComponentProps } from "@tanstack/react-router";
import { Failure } from "../kit/notice";

/** A page that failed while drawing: says so, and draws it again on request. */
export function RouteFailure({ error, reset }: ErrorComponentProps) {
  const cause = error instanceof Error ? error : new Error(String(error));
  return <Failure title="This page could not be drawn" error={cause} onRetry={reset} />;
}
