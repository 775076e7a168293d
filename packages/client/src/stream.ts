import { argumentOf, type Subscription } from "./document.ts";
import { SwitchboardError } from "./errors.ts";
import type { Broken, Failure, Refused } from "./failure.ts";
import { reportError } from "./report.ts";
import type { Receiver, Transport } from "./transport.ts";
import type { Result, Sink, Variables } from "./types.ts";

/** A cursor that the server's log does not contain, for example after a backup was restored. */
export interface Gap {
  readonly roomId?: string;
  /** The cursor of the beginning of the log. */
  readonly oldest: string | undefined;
  readonly error: SwitchboardError;
}

/**
 * What to do about a gap. `from-oldest` delivers the whole log, which may repeat messages.
 * `from-now` delivers only new messages. `stop` ends the subscription with CURSOR_EXPIRED.
 */
export type GapDecision = "from-oldest" | "from-now" | "stop";
export type OnGap = (gap: Gap) => GapDecision | Promise<GapDecision>;

/** Who restarts a stream whose attempt has failed. */
export interface StreamOwner {
  changed(): void;
  proven(): void;
  broken(stream: Stream, failure: Broken): void;
  refused(stream: Stream, failure: Refused): void;
  restart(stream: Stream): void;
  ended(stream: Stream, error?: SwitchboardError): void;
}

export interface StreamOptions {
  readonly subscription: Subscription;
  readonly variables: Variables | undefined;
  readonly sink: Sink;
  readonly onGap: OnGap | undefined;
}

/** A subscription over all its attempts. It remembers the position of its last result. */
export class Stream implements Receiver {
  /** A stream that waits, is paused, or waits for a decision about a gap has no attempt. */
  status: "waiting" | "paused" | "deciding" | "starting" | "catching-up" | "live" | "ended" =
    "waiting";
  readonly #options: StreamOptions;
  readonly #owner: StreamOwner;
  #position: string | null | undefined;
  #startedAt: number | undefined;
  #stopAttempt: (() => void) | undefined;
  #isAfterGap = false;

  constructor(owner: StreamOwner, options: StreamOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  /** How long the current or last attempt has received; 0 if the server has not started it. */
  get upMs(): number {
    return this.#startedAt === undefined ? 0 : Date.now() - this.#startedAt;
  }

  /** Begins an attempt after the last result. Stops the previous attempt first. */
  start(transport: Transport): void {
    this.#halt("starting");
    const { subscription, variables } = this.#options;
    this.#startedAt = undefined;
    const stop = transport.start({ subscription, variables, position: this.#position }, this);
    // The attempt may have failed already.
    if (this.isRunning) this.#stopAttempt = stop;
  }

  /** Stops receiving. The next start continues after the last result. */
  pause(): void {
    if (this.status === "ended") return;
    this.#halt("paused");
    this.#owner.changed();
  }

  /** Ends the stream without a call of its sink. */
  stop(): void {
    if (this.status === "ended") return;
    this.#halt("ended");
    this.#owner.ended(this);
  }

  /** Ends the stream and tells its sink. */
  end(error?: SwitchboardError): void {
    if (this.status === "ended") return;
    this.#halt("ended");
    const { sink } = this.#options;
    reportError(() => {
      if (error) sink.error(error);
      else sink.complete?.();
    });
    this.#owner.ended(this, error);
  }

  proven(): void {
    this.#owner.proven();
  }

  started(): void {
    this.#startedAt = Date.now();
    const { subscription, variables } = this.#options;
    const after = this.#position ?? argumentOf(subscription, variables, "after");
    if (after !== undefined) this.#become("catching-up");
  }

  live(cursor?: string): void {
    this.#position = cursor ?? this.#position;
    this.#become("live");
  }

  located(cursor: string): void {
    this.#position = cursor;
  }

  next(result: Result): void {
    const cursor = result.extensions?.["cursor"];
    if (typeof cursor === "string") {
      this.#position = cursor;
      this.#isAfterGap = false;
    }
    // Ephemeral subscriptions begin with the current state.
    if (!this.#options.subscription.field) this.#become("live");
    reportError(() => {
      this.#options.sink.next(result);
    });
  }

  complete(): void {
    this.end();
  }

  failed(failure: Failure): void {
    this.#halt("waiting");
    if (failure.kind === "broken") this.#owner.broken(this, failure);
    else if (failure.kind === "refused") this.#owner.refused(this, failure);
    else if (failure.error.code !== "CURSOR_EXPIRED") this.end(failure.error);
    else {
      this.#become("deciding");
      void this.#gap(failure.error);
    }
  }

  async #gap(error: SwitchboardError): Promise<void> {
    const decision = this.#isAfterGap ? "stop" : await this.#decide(error);
    if (this.status !== "deciding") return;
    const isLost = decision === "from-oldest" && error.oldest === undefined;
    if (decision === "stop" || isLost) {
      this.end(error);
      return;
    }
    this.#isAfterGap = true;
    this.#position = decision === "from-oldest" ? error.oldest : null;
    this.#owner.restart(this);
  }

  async #decide(error: SwitchboardError): Promise<GapDecision> {
    const { subscription, variables, onGap } = this.#options;
    if (!onGap) return "stop";
    const roomId = argumentOf(subscription, variables, "roomId");
    try {
      return await onGap({ ...(roomId !== undefined && { roomId }), oldest: error.oldest, error });
    } catch (thrown) {
      reportError(() => {
        throw thrown;
      });
      return "stop";
    }
  }

  get isRunning(): boolean {
    return ["starting", "catching-up", "live"].includes(this.status);
  }

  #halt(status: Stream["status"]): void {
    this.#stopAttempt?.();
    this.#stopAttempt = undefined;
    this.status = status;
  }

  #become(status: Stream["status"]): void {
    if (this.status === status) return;
    this.status = status;
    this.#owner.changed();
  }
}
