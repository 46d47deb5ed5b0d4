/** Joins requests of the same moment into few round trips. */

interface Waiting<Request, Answer> {
  readonly request: Request;
  readonly signal: AbortSignal;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchOptions<Request, Answer> {
  /** Requests with the same group can share a round trip. */
  readonly group: (request: Request) => string;
  /** Most requests of one round trip; keeps one slow answer from holding up a whole page. */
  readonly limit: number;
  /** Answers in the order of the requests; missing ones are errors. */
  readonly load: (requests: readonly Request[], signal: AbortSignal) => Promise<readonly Answer[]>;
}

/**
 * Returns a loader of single requests. A round trip is cancelled when nobody waits for any of its answers any more.
 */
export function batched<Request, Answer>(
  options: BatchOptions<Request, Answer>,
): (request: Request, signal: AbortSignal) => Promise<Answer> {
  let waiting: Waiting<Request, Answer>[] = [];

  const flush = () => {
    const groups = new Map<string, Waiting<Request, Answer>[]>();
    for (const item of waiting) {
      if (item.signal.aborted) {
        item.reject(item.signal.reason);
        continue;
      }
      const id = options.group(item.request);
      const group = groups.get(id);
      if (group === undefined) groups.set(id, [item]);
      else group.push(item);
    }
    waiting = [];
    for (const group of groups.values()) {
      for (let start = 0; start < group.length; start += options.limit) {
        void send(group.slice(start, start + options.limit), options);
      }
    }
  };

  return (request, signal) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setTimeout(flush, 0);
      waiting.push({ request, signal, resolve, reject });
    });
}

async function send<Request, Answer>(
  batch: Waiting<Request, Answer>[],
  options: BatchOptions<Request, Answer>,
): Promise<void> {
  const cancel = new AbortController();
  for (const { signal } of batch) {
    signal.addEventListener("abort", () => {
      if (batch.every((item) => item.signal.aborted)) cancel.abort(signal.reason);
    });
  }
  try {
    const answers = await options.load(
      batch.map((item) => item.request),
      cancel.signal,
    );
    batch.forEach((item, index) => {
      const answer = answers[index];
      if (answer === undefined) item.reject(new Error("fewer answers than requests"));
      else item.resolve(answer);
    });
  } catch (error) {
    for (const item of batch) item.reject(error);
  }
}
