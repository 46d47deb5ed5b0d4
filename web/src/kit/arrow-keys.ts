import type { KeyboardEvent } from "react";

/** Moves the focus between the rows of a list or table: to the same kind of control in the row above or below. */
export function moveByArrows(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const { target } = event;
  if (!(target instanceof HTMLElement)) return;
  const row = target.closest("li, tr");
  const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
  const control = next?.querySelector(target.tagName);
  if (!(control instanceof HTMLElement)) return;
  event.preventDefault();
  control.focus();
}
