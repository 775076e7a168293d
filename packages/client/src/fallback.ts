import type { Http } from "./http.ts";
import { SocketTransport } from "./socket.ts";
import type { Transport } from "./transport.ts";

export interface FallbackOptions {
  /** In the order in which they are tried; at least one. */
  readonly transports: readonly [Transport, ...Transport[]];
  readonly http: Http;
  readonly openMs: number;
  /** The time after which the client tries the first transport again. */
  readonly retryFirstMs: number;
}

/** Failures in a row, while HTTP works, after which a transport counts as blocked. */
const strikesMax = 2;
/** The same for a transport that has worked before: the server is probably restarting. */
const strikesOfProvenMax = 4;

/** Chooses the transport: the first one that works on the way to the server. */
export class Fallback {
  readonly #options: FallbackOptions;
  #index = 0;
  #strikes = 0;
  readonly #proven = new Set<Transport>();
  #isAsking = false;
  #left = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: FallbackOptions) {
    this.#options = options;
  }

  get current(): Transport {
    return this.#options.transports[this.#index] ?? this.#options.transports[0];
  }

  /** Bytes arrive over the current transport. */
  proven(): void {
    this.#strikes = 0;
    this.#proven.add(this.current);
  }

  /**
   * Nothing arrived over the current transport. Asks over plain HTTP whether the server works.
   * If it does, something on the way may block the transport: `again` asks for an attempt now,
   * perhaps with the next transport. `later` asks to wait as after any failure.
   */
  async doubt(): Promise<"again" | "later" | "pending"> {
    if (this.#index + 1 >= this.#options.transports.length) return "later";
    if (this.#isAsking) return "pending";
    this.#isAsking = true;
    const works = await this.#options.http.works(this.#options.openMs);
    this.#isAsking = false;
    this.#strikes = works ? this.#strikes + 1 : 0;
    const max = this.#proven.has(this.current) ? strikesOfProvenMax : strikesMax;
    if (this.#strikes >= max) {
      this.#use(this.#index + 1);
      return "again";
    }
    return this.#strikes === 1 ? "again" : "later";
  }

  /** Tries the first transport again after a while, and calls `onReturn` once it works. */
  watch(onReturn: () => void): void {
    if (this.#index === 0 || this.#timer !== undefined) return;
    const ms = Math.max(0, this.#left + this.#options.retryFirstMs - Date.now());
    this.#timer = setTimeout(() => {
      void this.#tryFirst(onReturn);
    }, ms);
  }

  /** Stops trying until the next `watch`. */
  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #tryFirst(onReturn: () => void): Promise<void> {
    const timer = this.#timer;
    const [first] = this.#options.transports;
    const works = first instanceof SocketTransport && (await first.probe());
    // `rest` was called in the meantime.
    if (this.#timer !== timer) return;
    this.#timer = undefined;
    this.#left = Date.now();
    if (!works) {
      this.watch(onReturn);
      return;
    }
    this.#use(0);
    onReturn();
  }

  #use(index: number): void {
    this.#index = index;
    this.#strikes = 0;
    if (index > 0) this.#left = Date.now();
  }
}
