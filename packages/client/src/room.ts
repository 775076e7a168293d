import type { Switchboard } from "./client.ts";
import { codeOf, SwitchboardError } from "./errors.ts";
import { reportError } from "./report.ts";
import type { Gap, GapDecision, OnGap } from "./stream.ts";
import type { Result } from "./types.ts";

export interface RoomMessage {
  readonly id: string;
  readonly text: string;
  readonly cursor: string;
  readonly createdAt: string;
  readonly sender: { readonly id: string; readonly name: string };
}

export interface FollowOptions<Message = RoomMessage> {
  /** How many of the newest messages to begin with; 50 by default. The server accepts up to 100. */
  readonly last?: number;
  /**
   * How many messages the list holds at most; 1,000 by default. Older ones are dropped from its
   * beginning, from `added` too.
   */
  readonly keep?: number;
  /** The fields of a message. The default is the fields of `RoomMessage`. */
  readonly selection?: string;
  /**
   * Decides what to do about an expired cursor; the client's `onGap` is not asked. Both ways to
   * continue begin a new list: with the oldest message of the log, or with a new snapshot.
   */
  readonly onGap?: OnGap;
  /** Called with each state, in place of the iteration. */
  readonly onState?: (state: RoomState<Message>) => void;
  /** Called with the error that ends the following. Without it, the iteration throws the error. */
  readonly onError?: (error: Error) => void;
}

export interface RoomState<Message = RoomMessage> {
  /** Oldest first, without a gap and without repeats. */
  readonly messages: readonly Message[];
  /** The messages that the previous state of this reader did not have. */
  readonly added: readonly Message[];
}

/**
 * Follows a room until `stop`, or until its loop ends. A slow loop skips states; `added` then has
 * the messages of all skipped states.
 */
export interface RoomFollower<Message> extends AsyncIterable<RoomState<Message>> {
  readonly stop: () => void;
}

const defaultSelection = "id text cursor createdAt sender { id name }";
export const lastDefault = 50;
const keepDefault = 1_000;

/**
 * Reads the newest messages of a room, and then follows it from exactly that point. The states are
 * one ordered list of messages that grows.
 */
export function followRoom<Message = RoomMessage>(
  client: Switchboard,
  roomId: string,
  options: FollowOptions<Message> = {},
): RoomFollower<Message> {
  const follower = new Follower<Message>(client, roomId, options);
  void follower.begin();
  return follower;
}

interface Snapshot<Message> {
  readonly room: {
    readonly head: string;
    readonly messages: { readonly nodes: readonly Message[] };
  } | null;
}

class Follower<Message> implements RoomFollower<Message> {
  readonly #client: Switchboard;
  readonly #roomId: string;
  readonly #options: FollowOptions<Message>;
  readonly #abort = new AbortController();
  #messages: readonly Message[] = [];
  #added: readonly Message[] = [];
  /** Whether there is a state that the loop has not seen. */
  #isFresh = false;
  #error: Error | undefined;
  /** Continues the loop that waits for a state. */
  #look: () => void = () => undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(client: Switchboard, roomId: string, options: FollowOptions<Message>) {
    this.#client = client;
    this.#roomId = roomId;
    this.#options = options;
  }

  readonly stop = (): void => {
    this.#abort.abort();
    this.#unsubscribe?.();
    this.#look();
  };

  async *[Symbol.asyncIterator](): AsyncGenerator<RoomState<Message>, undefined> {
    try {
      for (;;) {
        if (this.#isFresh) yield this.#take();
        else if (this.#error) throw this.#error;
        else if (this.#abort.signal.aborted) return;
        else await new Promise<void>((resolve) => (this.#look = resolve));
      }
    } finally {
      this.stop();
    }
  }

  /** Reads the snapshot and subscribes after it. */
  async begin(): Promise<void> {
    try {
      const { room } = await this.#snapshot();
      if (this.#abort.signal.aborted) return;
      if (!room) throw new SwitchboardError("NOT_FOUND", `There is no room ${this.#roomId}.`);
      this.#messages = this.#added = [];
      this.#publish(room.messages.nodes);
      this.#subscribe(room.head);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #snapshot(): Promise<Snapshot<Message>> {
    return this.#client.run<Snapshot<Message>>(
      `query FollowRoom($roomId: ID!, $last: Int!) {
        room(id: $roomId) { head messages(last: $last) { nodes { ${this.#selection} } } }
      }`,
      { roomId: this.#roomId, last: this.#options.last ?? lastDefault },
      { retryForMs: Infinity, signal: this.#abort.signal },
    );
  }

  #subscribe(after: string): void {
    this.#unsubscribe = this.#client.subscribe<{ newMessage: Message }>(
      `subscription FollowRoom($roomId: ID!, $after: Cursor) {
        newMessage(roomId: $roomId, after: $after) { ${this.#selection} }
      }`,
      { roomId: this.#roomId, after },
      {
        next: (result) => {
          this.#next(result);
        },
        error: (error) => {
          this.#fail(error);
        },
        complete: this.stop,
      },
      { onGap: (gap) => this.#gap(gap) },
    );
  }

  #next({ data, errors }: Result<{ newMessage: Message }>): void {
    if (data?.newMessage) {
      this.#publish([data.newMessage]);
      return;
    }
    // The server could not make this result. Without it the list would have a hole.
    const message = "The server could not read a message, so the list would have a hole.";
    this.#fail(new SwitchboardError(codeOf(errors ?? []), message, { errors }));
  }

  /** The list begins again: with the oldest message, or with a new snapshot. */
  async #gap(gap: Gap): Promise<GapDecision> {
    const decision = (await this.#options.onGap?.(gap)) ?? "stop";
    if (decision === "from-oldest") this.#messages = this.#added = [];
    if (decision !== "from-now" || this.#abort.signal.aborted) return decision;
    this.#unsubscribe?.();
    await this.begin();
    return "stop";
  }

  #publish(added: readonly Message[]): void {
    const keep = this.#options.keep ?? keepDefault;
    this.#messages = [...this.#messages, ...added].slice(-keep);
    this.#added = [...this.#added, ...added].slice(-keep);
    const { onState } = this.#options;
    if (onState) {
      const state = this.#take();
      reportError(() => {
        onState(state);
      });
      return;
    }
    this.#isFresh = true;
    this.#look();
  }

  #take(): RoomState<Message> {
    const state = { messages: this.#messages, added: this.#added };
    this.#added = [];
    this.#isFresh = false;
    return state;
  }

  #fail(error: Error): void {
    if (this.#abort.signal.aborted) return;
    this.#error = error;
    this.stop();
    const { onError } = this.#options;
    if (!onError) return;
    reportError(() => {
      onError(error);
    });
  }

  get #selection(): string {
    return this.#options.selection ?? defaultSelection;
  }
}
