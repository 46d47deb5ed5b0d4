import { Fields } from "./decode";
import { ApiError, postJson, requestJson } from "./http";

/** A GraphQL document with the name of its operation. */
export interface Operation {
  readonly name: string;
  readonly document: string;
}

export function operation(name: string, document: string): Operation {
  return { name, document };
}

/** Runs an operation and returns the reader of `data`; the first GraphQL error becomes an {@link ApiError}. */
export async function runOperation(
  { name, document }: Operation,
  variables: Record<string, unknown>,
  signal?: AbortSignal,
): Promise<Fields> {
  const body = postJson({ operationName: name, query: document, variables }, signal);
  const answer = new Fields(await requestJson("/graphql", body), name);
  const [message] = answer.list("errors", (error, at) => new Fields(error, at).maybeText("message"));
  if (message !== undefined) throw new ApiError(422, message ?? `\`${name}\` failed`);
  return answer.fields("data");
}
