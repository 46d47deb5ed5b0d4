import { useEffect } from "react";

interface ShortcutActions {
  readonly onPalette: () => void;
  readonly onHelp: () => void;
}

/** Keys that work on every page. Keys typed into a field stay there, except cmd-k and escape. */
export function useShortcuts({ onPalette, onHelp }: ShortcutActions): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        onPalette();
        return;
      }
      const target = event.target;
      if (target instanceof HTMLElement && isField(target)) {
        if (event.key === "Escape") target.blur();
        return;
      }
      if (event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === "?") onHelp();
      if (event.key === "/") {
        const field = document.querySelector("[data-main-search]");
        if (!(field instanceof HTMLInputElement)) return;
        event.preventDefault();
        field.focus();
        field.select();
      }
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [onPalette, onHelp]);
}

function isField(element: HTMLElement): boolean {
  return element instanceof HTMLInputElement
    ? element.type !== "checkbox" && element.type !== "range"
    : element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement;
}
