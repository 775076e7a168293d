import { SwitchboardError } from "./errors.ts";
import type { Refused } from "./failure.ts";

/** The reason why the client asks for a token. */
export type TokenRequest =
  | { readonly reason: "connect" }
  /** The server refused `refused`: it is invalid, expired or revoked. Return another token. */
  | { readonly reason: "refused"; readonly refused: string | null; readonly message: string };

/**
 * The token, or a function that returns it; null for an anonymous caller. The client calls the
 * function for each connection and each HTTP request, and once more if the server refuses a token.
 */
export type Token =
  | string
  | null
  | ((request: TokenRequest) => string | null | undefined | Promise<string | null | undefined>);

interface Renewal {
  readonly refused: string | null;
  /** Undefined if there is a new token; otherwise the error that ends the attempts. */
  readonly outcome: Promise<SwitchboardError | undefined>;
}

/** Gives the current token, and renews it once when the server refuses it. */
export class TokenSource {
  readonly #source: Token;
  #renewal: Renewal | undefined;
  #renewed: string | undefined;
  /** The renewed token, until the server has accepted it. */
  #unproven: string | undefined;

  constructor(source: Token = null) {
    this.#source = source;
  }

  /** The token for the next attempt. */
  async current(): Promise<string | null> {
    if (typeof this.#source !== "function") return this.#source;
    if (this.#unproven !== undefined) return this.#unproven;
    const token = (await this.#source({ reason: "connect" })) ?? null;
    // The application may still return the token that the server has refused.
    return token === this.#renewal?.refused ? (this.#renewed ?? token) : token;
  }

  /** The server accepted this token. */
  accepted(token: string | null): void {
    if (this.#unproven === token) this.#unproven = undefined;
  }

  /**
   * Asks for another token after a refusal. Returns undefined if a retry is useful, otherwise the
   * error to stop with. Concurrent refusals of one token share one question.
   */
  async renew({ token: refused, reason }: Refused): Promise<SwitchboardError | undefined> {
    if (this.#renewal?.refused === refused) return this.#renewal.outcome;
    if (refused !== null && refused === this.#unproven) {
      this.#unproven = undefined;
      return stopped(
        reason,
        "The server also refused the token that `token` returned in its place.",
      );
    }
    const renewal = { refused, outcome: this.#ask(refused, reason) };
    this.#renewal = renewal;
    const error = await renewal.outcome;
    // A later refusal asks again: the user may have signed in.
    if (error && this.#renewal === renewal) this.#renewal = undefined;
    return error;
  }

  async #ask(refused: string | null, reason: string): Promise<SwitchboardError | undefined> {
    if (typeof this.#source !== "function") {
      return stopped(
        reason,
        "Pass `token` as a function, so that the client can ask for a new one.",
      );
    }
    const token = (await this.#source({ reason: "refused", refused, message: reason })) ?? null;
    if (token === null) return stopped(reason, nothingNew(refused));
    if (token === refused) return stopped(reason, "`token` returned the refused token again.");
    this.#renewed = this.#unproven = token;
    return undefined;
  }
}

function nothingNew(refused: string | null): string {
  return refused === null
    ? "No token was sent. The server may not allow this page's origin (--allow-origin)."
    : "`token` returned no other token.";
}

function stopped(reason: string, detail: string): SwitchboardError {
  const advice = "Sign in again, return the new token from `token`, and subscribe again.";
  return new SwitchboardError("UNAUTHENTICATED", `${reason}. ${detail} ${advice}`);
}
