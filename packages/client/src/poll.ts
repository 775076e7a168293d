import { argumentOf, type PollDocument, pollCursor, pollDocument } from "./document.ts";
import { codeOf, SwitchboardError } from "./errors.ts";
import { errorsFailure, type Failure } from "./failure.ts";
import type { Http } from "./http.ts";
import { located } from "./locate.ts";
import { guarded, type Receiver, type Start, type Timeouts, type Transport } from "./transport.ts";
import type { Result, Variables } from "./types.ts";

/** Messages of one poll. Halved when the server finds the answer too large. */
const firstLimit = 64;

/** Long polling: each answer holds the messages after the cursor of the previous one. */
export class PollTransport implements Transport {
  readonly name = "poll";
  readonly #http: Http;
  readonly #timeouts: Timeouts;

  constructor(http: Http, timeouts: Timeouts) {
    this.#http = http;
    this.#timeouts = timeouts;
  }

  start(start: Start, receiver: Receiver): () => void {
    const guard = guarded(receiver);
    const poll = new Poll(this.#http, this.#timeouts, guard);
    void poll.run(start);
    return () => {
      guard.stop();
      poll.abort.abort();
    };
  }
}

class Poll {
  readonly abort = new AbortController();
  readonly #http: Http;
  readonly #timeouts: Timeouts;
  readonly #receiver: ReturnType<typeof guarded>;
  #limit = firstLimit;
  /** The first answer comes at once, to show that polling works. */
  #wait = 0;

  constructor(http: Http, timeouts: Timeouts, receiver: ReturnType<typeof guarded>) {
    this.#http = http;
    this.#timeouts = timeouts;
    this.#receiver = receiver;
  }

  async run(start: Start): Promise<void> {
    const document = pollDocument(start.subscription);
    if (!document) {
      this.#receiver.failed(unsupported);
      return;
    }
    const signal = AbortSignal.any([this.abort.signal, AbortSignal.timeout(this.#timeouts.openMs)]);
    const begun = await located(start, this.#http, signal, this.#receiver);
    if (begun) await this.#follow(document, begun);
  }

  async #follow(document: PollDocument, { subscription, variables, position }: Start) {
    let after = position ?? argumentOf(subscription, variables, "after");
    if (after === undefined) {
      this.#receiver.failed(noPosition);
      return;
    }
    this.#receiver.started();
    while (!this.#receiver.ended) {
      const page = await this.#page(document, variables, after);
      if (!page) continue;
      after = page.cursor;
      for (const message of page.messages) this.#deliver(document.key, message);
      if (page.messages.length < this.#limit) this.#receiver.live(page.cursor);
    }
  }

  /** Reads one page; undefined if the attempt failed or is to be repeated with a smaller page. */
  async #page(document: PollDocument, variables: Variables | undefined, after: string) {
    const own = { _after: after, _limit: this.#limit, _wait: this.#wait };
    const used = Object.entries(variables ?? {}).filter(([name]) =>
      document.variables.includes(name),
    );
    const request = { query: document.query, variables: { ...Object.fromEntries(used), ...own } };
    const withinMs = this.#wait * 1_000 + this.#timeouts.openMs;
    const signal = AbortSignal.any([this.abort.signal, AbortSignal.timeout(withinMs)]);
    const answer = await this.#http.execute(request, signal);
    if (answer.kind !== "result") {
      this.#receiver.failed(answer);
      return undefined;
    }
    const page = (answer.result.data as PollData | null | undefined)?.pollMessages;
    if (!page) {
      this.#refused(answer.result);
      return undefined;
    }
    this.#receiver.proven();
    this.#wait = Math.floor(this.#timeouts.pollMs / 1_000);
    return page;
  }

  #refused({ errors = [] }: Result): void {
    const code = codeOf(errors);
    if (code === "TOO_COMPLEX" && this.#limit > 1) {
      this.#limit = Math.ceil(this.#limit / 4);
      return;
    }
    const reason = errors[0]?.message ?? "The token ended";
    this.#receiver.failed(
      // The token ended while the server held the request. The next request is refused with 401.
      code === "UNAUTHENTICATED" ? { kind: "broken", reason } : errorsFailure(errors),
    );
  }

  #deliver(key: string, message: PolledMessage): void {
    const { [pollCursor]: cursor, ...fields } = message;
    this.#receiver.next({ data: { [key]: fields }, extensions: { cursor } });
  }
}

type PolledMessage = Readonly<Record<string, unknown>> & { readonly [pollCursor]: string };

interface PollData {
  readonly pollMessages?: {
    readonly cursor: string;
    readonly messages: readonly PolledMessage[];
  } | null;
}

const unsupported: Failure = {
  kind: "final",
  error: new SwitchboardError(
    "TRANSPORT_UNSUPPORTED",
    "Only long polling works here, and it can only deliver newMessage. " +
      "Allow WebSockets or event streams on the way to the server.",
  ),
};

const noPosition: Failure = {
  kind: "final",
  error: new SwitchboardError(
    "TRANSPORT_UNSUPPORTED",
    "Long polling needs a start position. Pass the room's head as `after`.",
  ),
};
