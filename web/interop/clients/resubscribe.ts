import { cursorOf, deliver, type Result, type TestClient, type Variables } from "./client.ts";

const attemptsMax = 5;

/** Makes one attempt at a subscription, and returns a function that stops it. */
export type Open = (
  request: { readonly query: string; readonly variables: Variables },
  attempt: {
    readonly next: (result: Result) => void;
    /** The stream ended, but neither side had completed it. */
    readonly broken: (error: unknown) => void;
  },
) => () => void;

/**
 * Resumes subscriptions for a library that does not, as an application would: it keeps `after` at
 * the last cursor. A library that reconnects with the same variables object resumes there. If the
 * library gives up, the subscription is started again.
 */
export function resubscribing(
  open: Open,
  beforeRetry: () => Promise<void> = () => Promise.resolve(),
): { readonly subscribe: TestClient["subscribe"]; readonly stopAll: () => void } {
  const stops = new Set<() => void>();

  const subscribe: TestClient["subscribe"] = (query, variables, sink) => {
    const resumable = { ...variables };
    let attemptsLeft = attemptsMax;
    let stopped = false;
    let stop: () => void = () => undefined;

    function start(): void {
      if (stopped) return;
      stop = open(
        { query, variables: resumable },
        {
          next(result) {
            resumable["after"] = cursorOf(result) ?? resumable["after"];
            attemptsLeft = attemptsMax;
            deliver(result, sink);
          },
          broken(error) {
            if (stopped) return;
            if (attemptsLeft === 0) sink.error(error);
            else void beforeRetry().then(start);
            attemptsLeft -= 1;
          },
        },
      );
    }

    start();
    const stopForGood = () => {
      stopped = true;
      stop();
      stops.delete(stopForGood);
    };
    stops.add(stopForGood);
    return stopForGood;
  };

  return {
    subscribe,
    stopAll: () => {
      for (const stop of stops) stop();
    },
  };
}
