import { useQuery } from "@tanstack/react-query";
import { recipeQuery } from "../../api/queries";
import type { Recipe } from "../../api/reproduce";
import type { RunPath } from "../../api/runs";
import { CopyButton, Failure, Skeleton } from "../../kit/notice";
import css from "./reproduce.module.css";

/** The commands that make the run's code again in an empty directory, set up its environment and run it. */
export function Reproduce({ path }: { readonly path: RunPath }) {
  const recipe = useQuery(recipeQuery(path));
  if (recipe.data === undefined && recipe.isError) {
    return (
      <Failure
        compact
        title="The commands could not be loaded"
        error={recipe.error}
        onRetry={() => void recipe.refetch()}
      />
    );
  }
  return (
    <section className={css.reproduce} aria-labelledby="reproduce-title">
      <header>
        <h2 id="reproduce-title">Reproduce this run</h2>
        {recipe.data !== undefined && recipe.data.steps.length > 0 && (
          <CopyButton text={scriptOf(recipe.data)} label="Copy all commands" />
        )}
      </header>
      {recipe.data === undefined ? (
        <div className={css.loading}>
          <Skeleton height={72} />
        </div>
      ) : (
        <Steps recipe={recipe.data} path={path} />
      )}
    </section>
  );
}

function Steps({ recipe, path }: { readonly recipe: Recipe; readonly path: RunPath }) {
  const needsKey = recipe.steps.some((step) => step.commands.some((text) => text.includes("WANDB_API_KEY")));
  return (
    <>
      {recipe.steps.map(({ title, commands }) => (
        <div key={title} className={css.step}>
          <h3>{title}</h3>
          <CopyButton text={commands.join("\n")} label={`Copy the commands of ${title.toLowerCase()}`} />
          <pre>
            {commands.map((command, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: two commands may be the same, their order is fixed
              <code key={index}>{`${command}\n`}</code>
            ))}
          </pre>
        </div>
      ))}
      <ul className={css.notes}>
        {needsKey && (
          <li>
            Run them in an empty directory, with your API key in <code>WANDB_API_KEY</code>; or let{" "}
            <code>{`runlane restore ${path.entity}/${path.project}/${path.run}`}</code> do it.
          </li>
        )}
        {recipe.notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
      </ul>
    </>
  );
}

/** All commands, with a comment before each step. */
export function scriptOf(recipe: Recipe): string {
  return recipe.steps.map(({ title, commands }) => [`# ${title}`, ...commands].join("\n")).join("\n\n");
}
