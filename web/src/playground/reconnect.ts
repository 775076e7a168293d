import type { ClientOptions } from "graphql-ws";

const firstWaitMs = 250;
const longestWaitMs = 8_000;

/** The server closes with this code when it refuses the token of `connection_init`. */
const forbidden = 4403;

/** The wait before the given retry. It doubles up to a bound that a user still waits for. */
export function reconnectWaitMs(retries: number): number {
  return Math.min(firstWaitMs * 2 ** retries, longestWaitMs);
}

/** False for a refused token, which would be refused again; true for any other failure. */
export function isWorthRetrying(errorOrClose: unknown): boolean {
  return closeOf(errorOrClose)?.code !== forbidden;
}

/** Turns a close event into an error with a message, because GraphiQL shows only messages. */
export function readableError(error: unknown): unknown {
  const close = closeOf(error);
  if (close) return new Error(`The connection was closed: ${close.code} ${close.reason}`.trim());
  return error;
}

export const reconnectForever = {
  retryAttempts: Infinity,
  shouldRetry: isWorthRetrying,
  retryWait: (retries) => new Promise((resolve) => setTimeout(resolve, reconnectWaitMs(retries))),
} satisfies Partial<ClientOptions>;

function closeOf(event: unknown): { code: number; reason: string } | undefined {
  if (typeof event !== "object" || event === null) return undefined;
  if (!("code" in event) || typeof event.code !== "number") return undefined;
  const reason = "reason" in event && typeof event.reason === "string" ? event.reason : "";
  return { code: event.code, reason };
}
