import { type ReactNode, useEffect, useRef } from "react";
import { IconButton } from "./button";
import css from "./kit.module.css";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly size?: "plain" | "wide" | "top";
  readonly header?: boolean;
}

/** A modal of the browser itself: focus stays inside, escape and a click beside it close it. */
export function Dialog({ title, onClose, children, size = "plain", header = true }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    // not its first button: the ring around a button nobody chose is noise
    if (header) dialog?.focus();
    return () => dialog?.close();
  }, [header]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the browser closes a modal dialog on escape by itself
    <dialog
      ref={ref}
      tabIndex={-1}
      className={`${css.dialog} ${size === "plain" ? "" : css[size]}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      {header && (
        <header>
          <h2>{title}</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
      )}
      {children}
    </dialog>
  );
}
