import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import diff from "highlight.js/lib/languages/diff";
import dockerfile from "highlight.js/lib/languages/dockerfile";
import ini from "highlight.js/lib/languages/ini";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import typescript from "highlight.js/lib/languages/typescript";
import yaml from "highlight.js/lib/languages/yaml";
import { createLowlight } from "lowlight";
import { type ReactNode, useMemo } from "react";
import css from "./highlighted.module.css";

const lowlight = createLowlight({
  bash,
  cpp,
  diff,
  dockerfile,
  ini,
  javascript,
  json,
  markdown,
  python,
  typescript,
  yaml,
});

/** Longer texts are shown without colours: they would make the page wait. */
const MAX_CHARACTERS = 200_000;

/** What a file is written in, by its name; null for plain text. */
export function languageOf(name: string): string | null {
  const base = name.slice(name.lastIndexOf("/") + 1);
  if (base.startsWith("Dockerfile")) return "dockerfile";
  const extension = base.slice(base.lastIndexOf(".") + 1).toLowerCase();
  return LANGUAGES.get(extension) ?? null;
}

const LANGUAGES = new Map([
  ["py", "python"],
  ["pyi", "python"],
  ["patch", "diff"],
  ["diff", "diff"],
  ["json", "json"],
  ["ipynb", "json"],
  ["yaml", "yaml"],
  ["yml", "yaml"],
  ["toml", "ini"],
  ["lock", "ini"],
  ["cfg", "ini"],
  ["ini", "ini"],
  ["sh", "bash"],
  ["md", "markdown"],
  ["js", "javascript"],
  ["ts", "typescript"],
  ["tsx", "typescript"],
  ["c", "cpp"],
  ["h", "cpp"],
  ["cc", "cpp"],
  ["cpp", "cpp"],
  ["cu", "cpp"],
]);

interface HighlightedProps {
  readonly name: string;
  readonly text: string;
}

/** The text of a file with its words coloured; the text itself is never read as markup. */
export function Highlighted({ name, text }: HighlightedProps) {
  const shown = useMemo(() => {
    const language = languageOf(name);
    if (language === null || text.length > MAX_CHARACTERS) return text;
    return nodesOf(lowlight.highlight(language, text).children);
  }, [name, text]);
  return <pre className={css.code}>{shown}</pre>;
}

type Nodes = ReturnType<typeof lowlight.highlight>["children"];

function nodesOf(nodes: Nodes): ReactNode[] {
  return nodes.map((node, index) => {
    if (node.type === "text") return node.value;
    if (node.type !== "element") return null;
    const { className } = node.properties;
    const names = Array.isArray(className) ? className.map(String) : [];
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: the words of a text have no other identity
      <span key={index} className={names.map((word) => css[word.replace("hljs-", "")] ?? "").join(" ")}>
        {nodesOf(node.children)}
      </span>
    );
  });
}
