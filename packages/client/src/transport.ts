import type { Subscription } from "./document.ts";
import type { Failure } from "./failure.ts";
import type { Result, Variables } from "./types.ts";

export type TransportName = "websocket" | "sse" | "poll";

/** A subscription and its position, as a transport starts it. */
export interface Start {
  readonly subscription: Subscription;
  readonly variables: Variables | undefined;
  /** A cursor; null for the end of the log; undefined to start as the document says. */
  readonly position: string | null | undefined;
}

/** Receives the events of one attempt. After `complete` and `failed` nothing follows. */
export interface Receiver {
  /** The transport works: bytes from the server arrive when the server sends them. */
  proven(): void;
  /** The server has started to read the subscription. */
  started(): void;
  /** All results up to the start of the attempt have arrived. `cursor` is the position. */
  live(cursor?: string): void;
  /** The position at which the attempt starts, found before its first result. */
  located(cursor: string): void;
  next(result: Result): void;
  complete(): void;
  failed(failure: Failure): void;
}

/** One way to receive subscriptions. */
export interface Transport {
  readonly name: TransportName;
  /** Starts an attempt. The returned function stops it; nothing is received afterwards. */
  start(start: Start, receiver: Receiver): () => void;
  /** Checks soon whether an open connection still works. */
  check?(): void;
  /** Closes what is open between attempts. */
  close?(): void;
}

/** The times after which the client gives up waiting, in milliseconds. */
export interface Timeouts {
  /** For a connection to open, and for an answer to begin. */
  readonly openMs: number;
  /**
   * For the next byte of an event stream. It is longer than two of the server's heartbeats
   * (`--heartbeat-interval`, 12 s by default).
   */
  readonly silenceMs: number;
  /** Silence after which the client sends a ping over a WebSocket, and expects a pong in `openMs`. */
  readonly pingMs: number;
  /** The longest time for which the server may hold a long poll; at most 55 s. */
  readonly pollMs: number;
}

export const defaultTimeouts: Timeouts = {
  openMs: 10_000,
  silenceMs: 26_000,
  pingMs: 20_000,
  pollMs: 25_000,
};

/** Wraps a receiver so that nothing passes after its end or after `stop`. */
export function guarded(
  receiver: Receiver,
): Receiver & { readonly stop: () => void; ended: boolean } {
  const pass =
    <A extends unknown[]>(call: (...args: A) => void, ends = false) =>
    (...args: A) => {
      if (guard.ended) return;
      guard.ended = ends;
      call(...args);
    };
  const guard = {
    ended: false,
    stop: () => {
      guard.ended = true;
    },
    proven: pass(() => {
      receiver.proven();
    }),
    started: pass(() => {
      receiver.started();
    }),
    live: pass((cursor?: string) => {
      receiver.live(cursor);
    }),
    located: pass((cursor: string) => {
      receiver.located(cursor);
    }),
    next: pass((result: Result) => {
      receiver.next(result);
    }),
    complete: pass(() => {
      receiver.complete();
    }, true),
    failed: pass((failure: Failure) => {
      receiver.failed(failure);
    }, true),
  };
  return guard;
}
