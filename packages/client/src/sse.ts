import { requestFrom } from "./document.ts";
import { EventParser, type ServerEvent } from "./event-stream.ts";
import { errorsFailure, type Failure } from "./failure.ts";
import { answerOf, type Http, messageOf } from "./http.ts";
import { located } from "./locate.ts";
import { guarded, type Receiver, type Start, type Timeouts, type Transport } from "./transport.ts";
import type { Result } from "./types.ts";

/** The id of the last event of a stream, which holds the errors that end a subscription. */
const endId = "end";

/** graphql-sse in its distinct connections mode: each subscription is a POST with a stream. */
export class EventStreamTransport implements Transport {
  readonly name = "sse";
  readonly #http: Http;
  readonly #timeouts: Timeouts;

  constructor(http: Http, timeouts: Timeouts) {
    this.#http = http;
    this.#timeouts = timeouts;
  }

  start(start: Start, receiver: Receiver): () => void {
    const attempt = new Attempt(this.#http, this.#timeouts, guarded(receiver));
    void attempt.run(start);
    return () => {
      attempt.stop();
    };
  }
}

class Attempt {
  readonly #http: Http;
  readonly #timeouts: Timeouts;
  readonly #receiver: ReturnType<typeof guarded>;
  readonly #abort = new AbortController();
  readonly #parser = new EventParser();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #chunks = 0;

  constructor(http: Http, timeouts: Timeouts, receiver: ReturnType<typeof guarded>) {
    this.#http = http;
    this.#timeouts = timeouts;
    this.#receiver = receiver;
  }

  stop(): void {
    this.#receiver.stop();
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async run(start: Start): Promise<void> {
    this.#expectBytes();
    try {
      const begun = await located(start, this.#http, this.#abort.signal, this.#receiver);
      if (!begun) return;
      this.#expectBytes();
      await this.#read(begun);
    } catch (error) {
      this.#fail({ kind: "broken", reason: messageOf(error) });
    } finally {
      // `complete` and errors end the attempt although the server may keep the body open.
      if (this.#receiver.ended) this.stop();
    }
  }

  async #read({ subscription, variables, position }: Start): Promise<void> {
    const request = requestFrom(subscription, variables, position);
    const signal = this.#abort.signal;
    const { response, token } = await this.#http.post(request, signal, "text/event-stream");
    if (!isEventStream(response)) {
      const answer = await answerOf(response, token);
      this.#fail(answer.kind === "result" ? notAStream : answer);
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      this.#arrived();
      for (const event of this.#parser.push(chunk.value)) this.#event(event);
      if (this.#receiver.ended) return;
    }
    this.#fail({ kind: "broken", reason: "The event stream stopped" });
  }

  #arrived(): void {
    this.#chunks += 1;
    this.#expectBytes();
    if (this.#chunks === 1) {
      this.#receiver.started();
      this.#receiver.live();
    }
    // A proxy may pass on the first bytes and then keep the rest in a buffer.
    if (this.#chunks === 2) this.#receiver.proven();
  }

  #event({ id, event, data }: ServerEvent): void {
    if (event === "complete") this.#receiver.complete();
    if (event !== "next") return;
    const result = JSON.parse(data) as Result;
    if (id === endId && result.errors) this.#receiver.failed(errorsFailure(result.errors));
    else this.#receiver.next(result);
  }

  /** Gives up if the next bytes do not arrive in time. */
  #expectBytes(): void {
    clearTimeout(this.#timer);
    if (this.#receiver.ended) return;
    const ms = this.#chunks === 0 ? this.#timeouts.openMs : this.#timeouts.silenceMs;
    this.#timer = setTimeout(() => {
      const reason = "The event stream sent no bytes in time";
      this.#fail({ kind: "broken", reason, blocked: this.#chunks < 2 });
      this.stop();
    }, ms);
  }

  #fail(failure: Failure): void {
    clearTimeout(this.#timer);
    this.#receiver.failed(failure);
  }
}

const notAStream: Failure = {
  kind: "broken",
  reason: "The answer to a subscription was not an event stream",
  blocked: true,
};

function isEventStream(response: Response): response is Response & {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
} {
  const type = response.headers.get("content-type") ?? "";
  return response.ok && response.body !== null && type.startsWith("text/event-stream");
}
