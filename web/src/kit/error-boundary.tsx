import { Component, type ReactNode } from "react";
import { Failure } from "./notice";

interface ErrorBoundaryProps {
  readonly title: string;
  readonly children: ReactNode;
}

interface ErrorBoundaryState {
  readonly error: Error | null;
}

/** Keeps a part that fails while drawing from taking the page with it. */
export class ErrorBoundary extends Component<ErrorBoundaryProps, ErrorBoundaryState> {
  override state: ErrorBoundaryState = { error: null };

  static getDerivedStateFromError(error: unknown): ErrorBoundaryState {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <Failure
        compact
        title={this.props.title}
        error={error}
        onRetry={() => this.setState({ error: null })}
      />
    );
  }
}
