import { Icon } from "./icon";
import css from "./kit.module.css";

interface SearchFieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  /** The field that `/` focuses. */
  readonly main?: boolean;
  readonly invalid?: boolean;
}

/** Text field for a search; the page decides what it matches. */
export function SearchField({ label, value, onChange, main = false, invalid = false }: SearchFieldProps) {
  return (
    <label className={css.search}>
      <Icon name="search" />
      <input
        type="search"
        placeholder={label}
        aria-label={label}
        aria-invalid={invalid}
        title={invalid ? "not a valid expression: matched as plain text" : undefined}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        data-main-search={main ? "" : undefined}
        autoComplete="off"
        spellCheck={false}
      />
      {main && <kbd className={css.kbd}>/</kbd>}
    </label>
  );
}
