import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useState } from "react";
import { sessionQuery } from "../api/queries";
import { Dialog } from "../kit/dialog";
import { Icon } from "../kit/icon";
import kit from "../kit/kit.module.css";
import css from "./shell.module.css";
import { type Command, useCommands } from "./use-commands";

const MAX_SHOWN = 12;

interface CommandPaletteProps {
  readonly onClose: () => void;
  readonly onHelp: () => void;
}

/** cmd-k: pages, projects, runs and metrics by name. */
export function CommandPalette({ onClose, onHelp }: CommandPaletteProps) {
  const navigate = useNavigate();
  const session = useQuery(sessionQuery());
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const commands = useCommands(session.data?.entity ?? "", onHelp);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = commands
    .filter(({ kind, title }) => words.every((word) => `${kind} ${title}`.toLowerCase().includes(word)))
    .slice(0, MAX_SHOWN);
  const run = (command: Command | undefined) => {
    if (command === undefined) return;
    onClose();
    if (command.act !== undefined) command.act();
    else void navigate(command.to);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter") run(shown[active]);
    if (step === 0 || shown.length === 0) return;
    event.preventDefault();
    setActive((active + step + shown.length) % shown.length);
  };
  return (
    <Dialog title="Go to" onClose={onClose} size="top" header={false}>
      <div className={css.paletteField}>
        <Icon name="search" />
        <input
          autoFocus
          aria-label="Go to"
          placeholder="Go to a page, project, run or metric…"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setActive(0);
          }}
          onKeyDown={onKeyDown}
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          autoComplete="off"
          spellCheck={false}
        />
        <kbd className={kit.kbd}>Esc</kbd>
      </div>
      <div className={css.paletteList} id="palette-list" role="listbox">
        {shown.map((command, index) => (
          <button
            key={`${command.kind} ${command.id}`}
            type="button"
            role="option"
            aria-selected={index === active}
            onPointerMove={() => setActive(index)}
            onClick={() => run(command)}
          >
            <span>{command.title}</span>
            <small>{command.kind}</small>
          </button>
        ))}
        {shown.length === 0 && <p>Nothing matches “{text}”.</p>}
      </div>
    </Dialog>
  );
}
