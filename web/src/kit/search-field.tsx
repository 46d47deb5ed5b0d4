import { useEffect, useRef, useState } from "react";
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
  const input = useRef<HTMLInputElement>(null);
  const [draft, setDraft] = useState(value);
  useEffect(() => {
    // the URL follows the typing with a delay: what it says while somebody types is already old
    if (document.activeElement !== input.current) setDraft(value);
  }, [value]);
  return (
    <label className={css.search}>
      <Icon name="search" />
      <input
        type="search"
        placeholder={label}
        aria-label={label}
        aria-invalid={invalid}
        title={invalid ? "not a valid expression: matched as plain text" : undefined}
        ref={input}
        value={draft}
        onChange={(event) => {
          setDraft(event.target.value);
          onChange(event.target.value);
        }}
        data-main-search={main ? "" : undefined}
        autoComplete="off"
        spellCheck={false}
      />
      {main && <kbd className={css.kbd}>/</kbd>}
    </label>
  );
}
