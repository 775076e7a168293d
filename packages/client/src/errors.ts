import type { GraphQLFormattedError } from "graphql";

export interface ErrorDetails {
  readonly errors?: readonly GraphQLFormattedError[] | undefined;
  readonly data?: unknown;
  readonly closeCode?: number | undefined;
  readonly cause?: unknown;
}

/** An error that ends a request or a subscription. */
export class SwitchboardError extends Error {
  override readonly name = "SwitchboardError";
  /**
   * The code of the server's first error (docs/PROTOCOL.md lists them), or a code of this client:
   * UNAUTHENTICATED, PROTOCOL_ERROR, CONNECTION_FAILED, TRANSPORT_UNSUPPORTED, CLOSED.
   */
  readonly code: string;
  /** The server's errors; empty if the error is not an answer of the server. */
  readonly errors: readonly GraphQLFormattedError[];
  /** The partial data of an answer with errors. */
  readonly data: unknown;
  /** The close code of the WebSocket, if the server closed it. */
  readonly closeCode: number | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.errors = details.errors ?? [];
    this.data = details.data;
    this.closeCode = details.closeCode;
  }

  /** With CURSOR_EXPIRED: the cursor of the beginning of the room's log. */
  get oldest(): string | undefined {
    const oldest = this.errors[0]?.extensions?.["oldest"];
    return typeof oldest === "string" ? oldest : undefined;
  }

  /** With RATE_LIMITED: the time in milliseconds after which a retry can succeed. */
  get retryAfterMs(): number | undefined {
    return retryAfterOf(this.errors);
  }
}

/** The error for an answer with `errors`. */
export function answerError(
  errors: readonly GraphQLFormattedError[],
  data?: unknown,
): SwitchboardError {
  const message = errors.map((error) => error.message).join("; ");
  return new SwitchboardError(codeOf(errors), message, { errors, data });
}

/** The code of the first error. */
export function codeOf(errors: readonly GraphQLFormattedError[]): string {
  const code = errors[0]?.extensions?.["code"];
  return typeof code === "string" ? code : "PROTOCOL_ERROR";
}

/** `extensions.retryAfter` of the first error, in milliseconds. */
export function retryAfterOf(errors: readonly GraphQLFormattedError[]): number | undefined {
  const seconds = errors[0]?.extensions?.["retryAfter"];
  return typeof seconds === "number" ? seconds * 1_000 : undefined;
}
