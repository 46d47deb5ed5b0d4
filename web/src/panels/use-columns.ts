import { type RefObject, useEffect, useState } from "react";
import { columnsIn } from "./layout";

/** How many panels stand side by side in an element, followed while it is resized. */
export function useColumns(ref: RefObject<HTMLElement | null>): number {
  const [columns, setColumns] = useState(3);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setColumns(columnsIn(element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return columns;
}
