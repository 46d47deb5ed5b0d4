import { CodeBlock } from "../../kit/notice";
import css from "./signin.module.css";

/** Where `wandb login` and `runlane login` send people: says where the key is. */
export function AuthorizePage() {
  return (
    <article className={css.page}>
      <div className={css.card}>
        <h1>Your API key</h1>
        <p>
          The server keeps the key in a file that only its owner can read, and never shows it in the browser.
        </p>
        <h2>For a shell</h2>
        <p>On the server’s machine, this prints the server’s address and the key as two export lines:</p>
        <CodeBlock text="runlane server env" />
        <h2>Right here</h2>
        <p>To set both in the shell you are in:</p>
        <CodeBlock text={'eval "$(runlane server env)"'} />
        <h2>On another machine</h2>
        <p>Copy the two lines over, or log in once; the key is stored in your netrc file:</p>
        <CodeBlock text={`runlane login --host ${window.location.origin}`} />
      </div>
    </article>
  );
}
