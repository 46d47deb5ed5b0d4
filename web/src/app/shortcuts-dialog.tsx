import { Dialog } from "../kit/dialog";
import kit from "../kit/kit.module.css";
import css from "./shell.module.css";

const SHORTCUTS: readonly (readonly [keys: readonly string[], what: string])[] = [
  [["/"], "Search on this page"],
  [["⌘ / Ctrl", "K"], "Go to a page, project, run or metric"],
  [["Esc"], "Close, or leave the search"],
  [["?"], "This list"],
  [["↑", "↓"], "Move between the rows of a list or table"],
  [["[", "]"], "The page of a run before or after"],
  [["Alt", "Click"], "Show only this run (on its eye)"],
  [["Drag"], "Zoom a chart on its x axis"],
  [["Double-click"], "Show a chart's whole range again"],
];

export function ShortcutsDialog({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Keyboard and mouse" onClose={onClose}>
      <dl className={css.shortcuts}>
        {SHORTCUTS.map(([keys, what]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key} className={kit.kbd}>
                  {key}
                </kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
