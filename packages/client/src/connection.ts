import { type Backoff, ceilingMs, waitMs } from "./backoff.ts";
import type { Environment } from "./environment.ts";
import { SwitchboardError } from "./errors.ts";
import type { Broken, Refused } from "./failure.ts";
import { Fallback } from "./fallback.ts";
import { messageOf } from "./http.ts";
import { type ConnectionState, Observable } from "./state.ts";
import type { Stream, StreamOwner } from "./stream.ts";
import type { TokenSource } from "./token.ts";

export interface ConnectionOptions {
  readonly fallback: Fallback;
  readonly tokens: TokenSource;
  readonly backoff: Backoff;
  readonly environment: Environment;
  readonly random: () => number;
}

/**
 * Starts the streams again after failures. One timer serves all streams that wait, so that a
 * broken connection with many subscriptions is one retry.
 */
export class Connection implements StreamOwner {
  readonly state = new Observable<ConnectionState>({ status: "idle" });
  readonly #options: ConnectionOptions;
  readonly #streams = new Set<Stream>();
  #attempt = 0;
  #reason = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nextTryAt: number | null = null;
  #closedBy: { readonly reason: string; readonly error: SwitchboardError | null } | undefined;
  #isClosed = false;
  #unwatch: (() => void) | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  add(stream: Stream): void {
    if (this.#isClosed) {
      stream.end(new SwitchboardError("CLOSED", "The client is closed. Create another one."));
      return;
    }
    this.#closedBy = undefined;
    this.#streams.add(stream);
    this.#unwatch ??= this.#options.environment.watch(this.#wake, this.changed);
    this.restart(stream);
  }

  /** Ends all streams and closes the connection for good. */
  close(): void {
    this.#isClosed = true;
    this.#closedBy = { reason: "The application closed the client", error: null };
    for (const stream of [...this.#streams]) stream.end();
    this.#options.fallback.current.close?.();
    this.changed();
  }

  /** Moves the streams that run to a new connection, with the current token. */
  readonly reconnect = (): void => {
    const { current } = this.#options.fallback;
    const running = [...this.#streams].filter(({ isRunning }) => isRunning);
    current.close?.();
    for (const stream of running) stream.start(current);
    this.changed();
  };

  restart(stream: Stream): void {
    stream.status = "waiting";
    // A stream that is added during a wait starts with the others.
    if (this.#timer === undefined) this.#start(stream);
    this.changed();
  }

  proven(): void {
    this.#options.fallback.proven();
  }

  ended(stream: Stream, error?: SwitchboardError): void {
    this.#streams.delete(stream);
    // The server closed the WebSocket for good. Errors of one subscription close nothing.
    if (error?.closeCode !== undefined) this.#closedBy = { reason: error.message, error };
    if (this.#streams.size === 0) this.#rest();
    this.changed();
  }

  broken(stream: Stream, failure: Broken): void {
    if (stream.upMs >= ceilingMs(this.#attempt, this.#options.backoff)) this.#attempt = 0;
    this.#reason = failure.reason;
    if (failure.blocked) void this.#doubt(failure);
    else this.#schedule(failure.retryAfterMs);
    this.changed();
  }

  refused(stream: Stream, failure: Refused): void {
    this.#reason = failure.reason;
    this.changed();
    void this.#renew(stream, failure);
  }

  readonly changed = (): void => {
    this.state.set(this.#derive());
  };

  async #renew(stream: Stream, failure: Refused): Promise<void> {
    try {
      const error = await this.#options.tokens.renew(failure);
      if (stream.status === "ended") return;
      if (error) this.#stopAll(error);
      else this.#tryNow();
    } catch (error) {
      this.#reason = `The token could not be renewed: ${messageOf(error)}`;
      this.#schedule();
      this.changed();
    }
  }

  #derive(): ConnectionState {
    if (this.#closedBy && this.#streams.size === 0) return { status: "closed", ...this.#closedBy };
    const statuses = new Set([...this.#streams].map(({ status }) => status));
    const transport = this.#options.fallback.current.name;
    const isDown = (["waiting", "deciding", "starting"] as const).some((one) => statuses.has(one));
    if (isDown && !this.#options.environment.isOnline()) {
      return { status: "offline", reason: this.#reason };
    }
    if (isDown && this.#attempt === 0) return { status: "connecting", transport };
    if (isDown) {
      const [attempt, nextTryAt, reason] = [this.#attempt, this.#nextTryAt, this.#reason];
      return { status: "reconnecting", attempt, nextTryAt, reason };
    }
    if (statuses.has("catching-up")) return { status: "catching-up", transport };
    return statuses.has("live") ? { status: "live", transport } : { status: "idle" };
  }

  /** The transport may be blocked. Finds out, and goes on with the same or with the next one. */
  async #doubt(failure: Broken): Promise<void> {
    const verdict = await this.#options.fallback.doubt();
    if (verdict === "pending" || this.#streams.size === 0) return;
    if (verdict === "again") this.#tryNow();
    else this.#schedule(failure.retryAfterMs);
    this.changed();
  }

  #schedule(retryAfterMs?: number): void {
    if (this.#timer !== undefined || this.#streams.size === 0) return;
    this.#attempt += 1;
    const { backoff, random } = this.#options;
    const ms = waitMs(this.#attempt, backoff, retryAfterMs, random);
    this.#nextTryAt = Date.now() + ms;
    this.#timer = setTimeout(this.#tryNow, ms);
  }

  readonly #tryNow = (): void => {
    this.#clearTimer();
    for (const stream of [...this.#streams]) if (stream.status === "waiting") this.#start(stream);
    this.changed();
  };

  #start(stream: Stream): void {
    const { fallback } = this.#options;
    stream.start(fallback.current);
    fallback.watch(() => {
      // The first transport works again. Each stream moves to it, after its last result.
      for (const running of [...this.#streams]) {
        if (running.status !== "paused") running.start(fallback.current);
      }
      this.changed();
    });
  }

  readonly #wake = (): void => {
    if (this.#timer !== undefined) this.#tryNow();
    else this.#options.fallback.current.check?.();
    this.changed();
  };

  #stopAll(error: SwitchboardError): void {
    this.#closedBy = { reason: error.message, error };
    for (const stream of [...this.#streams]) stream.end(error);
  }

  /** Without streams nothing runs: no timer, no listener. */
  #rest(): void {
    this.#clearTimer();
    this.#options.fallback.rest();
    this.#attempt = 0;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#nextTryAt = null;
  }
}
