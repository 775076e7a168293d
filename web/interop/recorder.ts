const waitMsMax = 30_000;

/** Keeps what a subscriber saw, in order, and lets a test wait for it without sleeping. */
export class Recorder<T> {
  readonly seen: T[] = [];
  #failure: unknown;
  /** Looks again whether what the test waits for has happened. */
  #look: (() => void) | undefined;

  readonly next = (item: T): void => {
    this.seen.push(item);
    this.#look?.();
  };

  readonly error = (error: unknown): void => {
    this.#failure = error;
    this.#look?.();
  };

  /** Resolves once `done` holds for what was seen; rejects on an error or after half a minute. */
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
