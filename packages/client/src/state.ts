import type { SwitchboardError } from "./errors.ts";
import { reportError } from "./report.ts";
import type { TransportName } from "./transport.ts";

/** The state of the connection for subscriptions. Queries and mutations do not change it. */
export type ConnectionState =
  /** There is no subscription. */
  | { readonly status: "idle" }
  | { readonly status: "connecting"; readonly transport: TransportName }
  /**
   * The server sends results that existed when the subscription was opened. Only over a WebSocket
   * and by polling: an event stream does not show where they end, and is `live` at once.
   */
  | { readonly status: "catching-up"; readonly transport: TransportName }
  | { readonly status: "live"; readonly transport: TransportName }
  | {
      readonly status: "reconnecting";
      /** 1 for the first retry since the connection was last stable. */
      readonly attempt: number;
      /** When the retry begins, as by `Date.now()`; null while it runs. */
      readonly nextTryAt: number | null;
      /** Why the last attempt failed. */
      readonly reason: string;
    }
  /** The browser reports that the device has no network. Retries go on. */
  | { readonly status: "offline"; readonly reason: string }
  /** The application closed the client, or an error ended all subscriptions. */
  | { readonly status: "closed"; readonly reason: string; readonly error: SwitchboardError | null };

/** An observable value. Both functions fit React's `useSyncExternalStore`. */
export interface Observed<Value> {
  /** Calls `listener` after each change. Returns a function that ends this. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The current value. The same object until the next change. */
  readonly getSnapshot: () => Value;
}

/** An observable value and its setter. */
export class Observable<Value extends object> implements Observed<Value> {
  #value: Value;
  readonly #listeners = new Set<() => void>();

  constructor(value: Value) {
    this.#value = value;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    // Another function for each call, so that one listener may be subscribed twice.
    const call = () => {
      listener();
    };
    this.#listeners.add(call);
    return () => {
      this.#listeners.delete(call);
    };
  };

  readonly getSnapshot = (): Value => this.#value;

  set(value: Value): void {
    if (isSame(this.#value, value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) reportError(listener);
  }
}

function isSame(one: object, other: object): boolean {
  const entries = Object.entries(one);
  const others = new Map<string, unknown>(Object.entries(other));
  return (
    entries.length === others.size && entries.every(([key, value]) => others.get(key) === value)
  );
}
