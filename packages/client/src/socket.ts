import { requestFrom } from "./document.ts";
import { closeFailure, errorsFailure, type Failure } from "./failure.ts";
import { messageOf } from "./http.ts";
import type { TokenSource } from "./token.ts";
import { guarded, type Receiver, type Start, type Timeouts, type Transport } from "./transport.ts";
import type { Result } from "./types.ts";

/** The part of the browser's WebSocket that the client uses. The `ws` package has it too. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
export type WebSocketConstructor = new (url: string, protocols: string) => WebSocketLike;

export interface SocketOptions {
  readonly url: string;
  readonly webSocket: WebSocketConstructor;
  readonly tokens: TokenSource;
  readonly timeouts: Timeouts;
}

type Guarded = ReturnType<typeof guarded>;

/** An idle connection stays open this long, because a page often subscribes again at once. */
const idleMs = 1_000;

/** graphql-transport-ws: all subscriptions share one connection, which opens with the first one. */
export class SocketTransport implements Transport {
  readonly name = "websocket";
  readonly #options: SocketOptions;
  #link: Link | undefined;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  start(start: Start, receiver: Receiver): () => void {
    return this.#open().add(start, guarded(receiver));
  }

  /** Opens a connection without a subscription. Resolves to whether the server acknowledged it. */
  probe(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#open().onSettled(resolve);
    });
  }

  check(): void {
    this.#link?.check();
  }

  close(): void {
    this.#link?.close();
  }

  #open(): Link {
    this.#link ??= new Link(this.#options, () => {
      this.#link = undefined;
    });
    return this.#link;
  }
}

interface Message {
  readonly type?: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** One connection, from its opening to its end. */
class Link {
  readonly #options: SocketOptions;
  readonly #onEnd: () => void;
  readonly #streams = new Map<string, { readonly start: Start; readonly receiver: Guarded }>();
  #settled: ((isOpen: boolean) => void)[] = [];
  #socket: WebSocketLike | undefined;
  #token: string | null = null;
  #phase: "opening" | "open" | "ended" = "opening";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #lastId = 0;

  constructor(options: SocketOptions, onEnd: () => void) {
    this.#options = options;
    this.#onEnd = onEnd;
    this.#after(options.timeouts.openMs, () => {
      this.#end({ kind: "broken", reason: "The WebSocket did not open in time", blocked: true });
    });
    void this.#connect();
  }

  add(start: Start, receiver: Guarded): () => void {
    clearTimeout(this.#idle);
    const id = String(++this.#lastId);
    this.#streams.set(id, { start, receiver });
    if (this.#phase === "open") this.#subscribe(id);
    return () => {
      receiver.stop();
      if (!this.#streams.delete(id)) return;
      if (this.#phase === "open") this.#send({ id, type: "complete" });
      this.#closeWhenIdle();
    };
  }

  onSettled(settled: (isOpen: boolean) => void): void {
    if (this.#phase === "opening") this.#settled.push(settled);
    else settled(this.#phase === "open");
  }

  /** Sends a ping now, and ends the connection if no answer arrives. */
  check(): void {
    if (this.#phase === "open") this.#ping();
  }

  close(): void {
    this.#end({ kind: "broken", reason: "The client closed the connection" });
  }

  async #connect(): Promise<void> {
    try {
      this.#token = await this.#options.tokens.current();
      if (this.#phase === "ended") return;
      this.#socket = new this.#options.webSocket(this.#options.url, "graphql-transport-ws");
      this.#listen(this.#socket);
    } catch (error) {
      this.#end({ kind: "broken", reason: messageOf(error) });
    }
  }

  #listen(socket: WebSocketLike): void {
    socket.onopen = () => {
      const token = this.#token;
      const payload = token === null ? {} : { authorization: `Bearer ${token}` };
      this.#send({ type: "connection_init", payload });
    };
    socket.onmessage = ({ data }: { data: unknown }) => {
      this.#receive(String(data));
    };
    // An error is always followed by a close.
    socket.onerror = () => undefined;
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      // A proxy that does not know WebSockets never lets the acknowledgement through.
      const blocked = this.#phase === "opening" && code === 1006;
      const failure = closeFailure(code, reason, this.#token);
      this.#end(failure.kind === "broken" ? { ...failure, blocked } : failure);
    };
  }

  #receive(text: string): void {
    if (this.#phase === "ended") return;
    this.#heard();
    const message = parseMessage(text);
    if (message.type === "connection_ack") this.#acknowledged();
    if (message.type === "ping") this.#pinged(message.payload);
    const stream = this.#streams.get(message.id ?? "");
    if (!stream) return;
    if (message.type === "next") stream.receiver.next(message.payload as Result);
    if (message.type !== "error" && message.type !== "complete") return;
    this.#streams.delete(message.id ?? "");
    this.#closeWhenIdle();
    if (message.type === "complete") stream.receiver.complete();
    else stream.receiver.failed(errorsFailure(message.payload as NonNullable<Result["errors"]>));
  }

  #acknowledged(): void {
    this.#phase = "open";
    this.#options.tokens.accepted(this.#token);
    this.#heard();
    this.#settle(true);
    for (const id of [...this.#streams.keys()]) this.#subscribe(id);
    this.#closeWhenIdle();
  }

  #subscribe(id: string): void {
    const stream = this.#streams.get(id);
    if (!stream) return;
    const { subscription, variables, position } = stream.start;
    this.#send({ id, type: "subscribe", payload: requestFrom(subscription, variables, position) });
    stream.receiver.proven();
    stream.receiver.started();
  }

  /** The server's ping announces that a subscription is live; see docs/PROTOCOL.md. */
  #pinged(payload: unknown): void {
    this.#send({ type: "pong", ...(payload !== undefined && { payload }) });
    const { subscribed, cursor } = (payload ?? {}) as { subscribed?: string; cursor?: string };
    if (subscribed !== undefined) this.#streams.get(subscribed)?.receiver.live(cursor);
  }

  #heard(): void {
    if (this.#phase !== "open") return;
    this.#after(this.#options.timeouts.pingMs, () => {
      this.#ping();
    });
  }

  #ping(): void {
    this.#send({ type: "ping" });
    this.#after(this.#options.timeouts.openMs, () => {
      this.#end({ kind: "broken", reason: "The server did not answer a ping" });
    });
  }

  #closeWhenIdle(): void {
    clearTimeout(this.#idle);
    if (this.#streams.size > 0) return;
    this.#idle = setTimeout(() => {
      this.close();
    }, idleMs);
  }

  #after(ms: number, run: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, ms);
  }

  #send(message: Message): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #settle(isOpen: boolean): void {
    for (const settled of this.#settled) settled(isOpen);
    this.#settled = [];
  }

  #end(failure: Failure): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    clearTimeout(this.#timer);
    clearTimeout(this.#idle);
    const socket = this.#socket;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(1000);
    }
    this.#onEnd();
    this.#settle(false);
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const { receiver } of streams) receiver.failed(failure);
  }
}

function parseMessage(text: string): Message {
  try {
    return (JSON.parse(text) ?? {}) as Message;
  } catch {
    return {};
  }
}
