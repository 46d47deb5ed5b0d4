import { Fields } from "./decode";
import { postJson, request, requestJson } from "./http";

export interface Session {
  readonly username: string;
  readonly entity: string;
  readonly version: string;
}

/** Who is signed in; an `ApiError` with status 401 when nobody is. */
export async function fetchSession(signal: AbortSignal): Promise<Session> {
  const fields = new Fields(await requestJson("/api/session", { signal }), "session");
  return {
    username: fields.text("username"),
    entity: fields.text("entity"),
    version: fields.maybeText("version") ?? "",
  };
}

/** Exchanges an API key for the sign-in cookie; status 401 when the key is unknown. */
export async function signIn(apiKey: string): Promise<void> {
  await request("/api/login", postJson({ api_key: apiKey }));
}

export async function signOut(): Promise<void> {
  await request("/api/logout", postJson({}));
}
