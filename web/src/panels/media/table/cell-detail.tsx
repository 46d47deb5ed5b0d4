import { IconButton } from "../../../kit/button";
import { CopyButton } from "../../../kit/notice";
import css from "./table.module.css";

/** Characters of a cell that are put into the page; copying takes all of them. */
const MAX_CHARACTERS = 100_000;

interface CellDetailProps {
  readonly title: string;
  readonly text: string;
  readonly onClose: () => void;
}

/** The whole value of a cell, below the table. */
export function CellDetail({ title, text, onClose }: CellDetailProps) {
  const rest = text.length - MAX_CHARACTERS;
  return (
    <section className={css.detail} aria-label={title}>
      <header>
        <h4>{title}</h4>
        <CopyButton text={text} label="Copy the value" />
        <IconButton icon="close" label="Close the value" onClick={onClose} />
      </header>
      <pre>
        {text.slice(0, MAX_CHARACTERS)}
        {rest > 0 && `\n… ${rest.toLocaleString("en-US")} more characters`}
      </pre>
    </section>
  );
}
