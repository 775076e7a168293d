const waitMsMax = 30_000;

/** Records the results of a subscriber in order, and lets a test wait for them without a sleep. */
export class Recorder<T> {
  readonly seen: T[] = [];
  #failure: unknown;
  /** Checks again the condition that the test waits for. */
  #look: (() => void) | undefined;

  readonly next = (item: T): void => {
    this.seen.push(item);
    this.#look?.();
  };

  readonly error = (error: unknown): void => {
    this.#failure = error;
    this.#look?.();
  };

  /** Resolves when `done` is true for the recorded results; rejects on an error or after 30 s. */
  async until(done: (seen: readonly T[]) => boolean): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`Still waiting after ${waitMsMax} ms; seen ${this.seen.length}.`));
        }, waitMsMax);
        this.#look = () => {
          if (this.#failure !== undefined) reject(asError(this.#failure));
          else if (done(this.seen)) resolve();
        };
        this.#look();
      });
    } finally {
      clearTimeout(timer);
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(JSON.stringify(error));
}
