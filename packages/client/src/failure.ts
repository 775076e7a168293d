import type { GraphQLFormattedError } from "graphql";
import { answerError, codeOf, retryAfterOf, SwitchboardError } from "./errors.ts";

/** The end of an attempt that the server did not complete. */
export type Failure = Broken | Refused | Final;

/** The attempt failed, and a later one may succeed. */
export interface Broken {
  readonly kind: "broken";
  readonly reason: string;
  /** The server asked to wait this long. */
  readonly retryAfterMs?: number | undefined;
  /** Nothing arrived over this transport. Something on the way may block it. */
  readonly blocked?: boolean;
  /** The server answered that it did not execute the request. */
  readonly notExecuted?: boolean;
}

/** The server refused the token. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
  readonly token: string | null;
}

/** A retry would fail in the same way. */
export interface Final {
  readonly kind: "final";
  readonly error: SwitchboardError;
}

/** The server's close codes that a retry does not change; docs/PROTOCOL.md lists all codes. */
const finalCloses: Readonly<Record<number, string>> = {
  1002: "The server or a proxy received an invalid WebSocket frame",
  1007: "The server received text that is not UTF-8",
  1009: "A message was longer than the server accepts (--message-bytes-max)",
  4400: "The server did not understand a message of this client",
  4401: "The server received an operation before the connection was acknowledged",
  4406: "The server does not speak graphql-transport-ws",
  4409: "The server received the same operation id twice",
  4429: "The server received connection_init twice",
};

const temporary = new Set(["UNAVAILABLE", "RATE_LIMITED"]);

/** The failure for the close of a WebSocket. */
export function closeFailure(code: number, reason: string, token: string | null): Failure {
  const text = `The connection was closed: ${code} ${reason}`.trim();
  if (code === 4403) return { kind: "refused", reason: text, token };
  const explanation = finalCloses[code];
  if (explanation === undefined) return { kind: "broken", reason: text };
  const message = `${explanation} (${text}).`;
  return {
    kind: "final",
    error: new SwitchboardError("PROTOCOL_ERROR", message, { closeCode: code }),
  };
}

/** The failure for errors that ended an operation. */
export function errorsFailure(errors: readonly GraphQLFormattedError[]): Failure {
  const error = answerError(errors);
  if (!temporary.has(error.code)) return { kind: "final", error };
  return { kind: "broken", reason: error.message, retryAfterMs: retryAfterOf(errors) };
}

/** The failure for an HTTP answer that is not a result. `errors` are those of its JSON body. */
export function responseFailure(
  response: Response,
  errors: readonly GraphQLFormattedError[] | undefined,
  token: string | null,
): Failure {
  const text = errors ? answerError(errors).message : "the answer is not from a GraphQL server";
  const reason = `${response.status} ${response.statusText}: ${text}`;
  if (response.status === 401) return { kind: "refused", reason, token };
  const isTemporary = response.status === 429 || response.status >= 500;
  if (errors && !isTemporary && !temporary.has(codeOf(errors))) {
    return { kind: "final", error: answerError(errors) };
  }
  return {
    kind: "broken",
    reason,
    retryAfterMs: retryAfterHeader(response) ?? (errors && retryAfterOf(errors)),
    notExecuted: errors !== undefined && (response.status === 429 || response.status === 503),
  };
}

function retryAfterHeader(response: Response): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
