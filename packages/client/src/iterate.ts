import type { Stream, StreamOwner } from "./stream.ts";
import type { Result, Sink } from "./types.ts";

/** Results that may wait for the loop. Then the client stops receiving until the loop has them. */
const waitingMax = 1_000;

/** An iterator over the results of a stream, which starts at once. */
export function iterated(
  open: (sink: Sink) => Stream,
  owner: StreamOwner,
): AsyncIterableIterator<Result> {
  const queue = new Queue<Result>();
  const stream = open({
    next: (result) => {
      if (queue.push(result) >= waitingMax) stream.pause();
    },
    error: (error) => {
      queue.end(error);
    },
    complete: () => {
      queue.end();
    },
  });
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      const item = queue.take();
      if (queue.isEmpty && stream.status === "paused") owner.restart(stream);
      return item;
    },
    return() {
      stream.stop();
      queue.end();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

/** Items in order, and the readers that wait for them. */
class Queue<Item> {
  #items: Item[] = [];
  #readers: { resolve(result: IteratorResult<Item>): void; reject(error: Error): void }[] = [];
  #end: { readonly error: Error | undefined } | undefined;

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Adds an item. Returns how many items wait. */
  push(item: Item): number {
    if (this.#end) return 0;
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ done: false, value: item });
    else this.#items.push(item);
    return this.#items.length;
  }

  /** Ends the queue after the items that wait. */
  end(error?: Error): void {
    this.#end ??= { error };
    for (const reader of this.#readers.splice(0)) this.#finish(reader);
  }

  take(): Promise<IteratorResult<Item>> {
    return new Promise((resolve, reject) => {
      const item = this.#items.shift();
      if (item !== undefined) resolve({ done: false, value: item });
      else if (this.#end) this.#finish({ resolve, reject });
      else this.#readers.push({ resolve, reject });
    });
  }

  #finish(reader: { resolve(result: IteratorResult<Item>): void; reject(error: Error): void }) {
    const error = this.#end?.error;
    this.#end = { error: undefined };
    if (error) reader.reject(error);
    else reader.resolve({ done: true, value: undefined });
  }
}
