/** How to make a run's code again: the server knows the commands. */

import { DecodeError, Fields } from "./decode";
import { pathOf, requestJson } from "./http";
import type { RunPath } from "./runs";

export interface RecipeStep {
  readonly title: string;
  readonly commands: readonly string[];
}

export interface Recipe {
  /** Address of the git repository. */
  readonly repository: string | null;
  /** The command that checks the run's commit out. */
  readonly gitState: string | null;
  readonly steps: readonly RecipeStep[];
  /** What the commands do not bring back. */
  readonly notes: readonly string[];
}

export async function fetchRecipe(path: RunPath, signal: AbortSignal): Promise<Recipe> {
  const url = `/api/runs/${pathOf(path.entity, path.project, path.run)}/reproduce`;
  const answer = new Fields(await requestJson(url, { signal }), "recipe");
  return {
    repository: answer.maybeText("repository"),
    gitState: answer.maybeText("gitState"),
    steps: answer.list("steps", (step, at) => {
      const fields = new Fields(step, at);
      return { title: fields.text("title"), commands: fields.list("commands", readText) };
    }),
    notes: answer.list("notes", readText),
  };
}

function readText(value: unknown, at: string): string {
  if (typeof value === "string") return value;
  throw new DecodeError(`unexpected answer: \`${at}\` is not text`);
}
