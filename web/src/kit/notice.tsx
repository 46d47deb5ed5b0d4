import { type ReactNode, useState } from "react";
import { ApiError } from "../api/http";
import { Button, IconButton } from "./button";
import css from "./kit.module.css";

interface NoticeProps {
  readonly title: string;
  readonly children?: ReactNode;
  /** Code that fills the empty view. */
  readonly code?: string;
  readonly actions?: ReactNode;
  readonly compact?: boolean;
}

/** A designed empty state: what would be here, and how it comes about. */
export function Notice({ title, children, code, actions, compact = false }: NoticeProps) {
  return (
    <div className={`${css.notice} ${compact ? css.compact : ""}`}>
      <h2>{title}</h2>
      {children !== undefined && <p>{children}</p>}
      {code !== undefined && <CodeBlock text={code} />}
      {actions !== undefined && <div className={css.actions}>{actions}</div>}
    </div>
  );
}

interface FailureProps {
  /** What could not be shown, as in "Runs could not be loaded". */
  readonly title: string;
  readonly error: Error;
  readonly onRetry: () => void;
  readonly compact?: boolean;
}

/** What happened, and a way to try again. */
export function Failure({ title, error, onRetry, compact = false }: FailureProps) {
  const status = error instanceof ApiError && error.status > 0 ? ` (${error.status})` : "";
  return (
    <div className={`${css.notice} ${compact ? css.compact : ""}`} role="alert">
      <h2 className={css.bad}>{title}</h2>
      <p>
        {error.message}
        {status}
      </p>
      <div className={css.actions}>
        <Button onClick={onRetry}>Try again</Button>
      </div>
    </div>
  );
}

export function CodeBlock({ text }: { readonly text: string }) {
  return (
    <div className={css.code}>
      <pre>{text}</pre>
      <CopyButton text={text} />
    </div>
  );
}

export function CopyButton({ text, label = "Copy" }: { readonly text: string; readonly label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <IconButton
      icon={copied ? "check" : "copy"}
      label={copied ? "Copied" : label}
      onClick={() => void copy()}
    />
  );
}

interface SkeletonProps {
  readonly width?: number | string;
  readonly height?: number | string;
}

export function Skeleton({ width = "100%", height = 12 }: SkeletonProps) {
  return <span className={css.skeleton} style={{ width, height }} aria-hidden="true" />;
}
