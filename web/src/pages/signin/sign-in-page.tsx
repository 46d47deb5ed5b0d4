import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { isSignedOut } from "../../api/http";
import { signIn } from "../../api/session";
import { Button } from "../../kit/button";
import css from "./signin.module.css";

/** Shown at any address while nobody is signed in; after signing in the address shows its own page. */
export function SignInPage() {
  const client = useQueryClient();
  const [key, setKey] = useState("");
  const login = useMutation({
    mutationFn: (apiKey: string) => signIn(apiKey),
    onSuccess: () => client.resetQueries(),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate(key.trim());
  };
  return (
    <main className={css.page}>
      <form className={css.card} onSubmit={submit}>
        <img src="/icon.svg" alt="" width="40" height="40" />
        <h1>Sign in to runlane</h1>
        <p>
          Open the link that <code>runlane server start</code> printed, or paste your API key.{" "}
          <code>runlane ui</code> opens a fresh link.
        </p>
        <label htmlFor="api-key">API key</label>
        <input
          id="api-key"
          type="password"
          autoComplete="current-password"
          placeholder="local-…"
          value={key}
          onChange={(event) => setKey(event.target.value)}
          aria-invalid={login.isError}
          aria-describedby="sign-in-error"
        />
        <p id="sign-in-error" className={css.error} role="alert">
          {login.isError && failureText(login.error)}
        </p>
        <Button kind="primary" type="submit" disabled={key.trim() === "" || login.isPending}>
          {login.isPending ? "Signing in…" : "Sign in"}
        </Button>
        <p className={css.hint}>
          The key is in the output of <code>runlane server env</code>, run on the server’s machine.
        </p>
      </form>
    </main>
  );
}

function failureText(error: Error): string {
  return isSignedOut(error) ? "This key is not known to the server." : `Sign-in failed: ${error.message}.`;
}
