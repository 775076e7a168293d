import { cursorOf, deliver, type Result, type TestClient, type Variables } from "./client.ts";

const attemptsMax = 5;

/** Starts a subscription once; what a library calls these three differs, their sense does not. */
export type Open = (
  request: { readonly query: string; readonly variables: Variables },
  attempt: {
    readonly next: (result: Result) => void;
    /** The stream ended although neither side had said that it was over. */
    readonly broken: (error: unknown) => void;
  },
) => () => void;

/**
 * What an application writes where its library does not resume by itself: it keeps `after` at the
 * last cursor. A library that comes back with the same variables object goes on there; one that
 * gives up is asked once more.
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
