import type { ClientOptions } from "graphql-ws";

const firstWaitMs = 250;
const longestWaitMs = 8_000;

/** The server closes with this code when it refuses the token of `connection_init`. */
const forbidden = 4403;

/** How long to wait before the given retry: doubling, but never so long that nobody believes in it. */
export function reconnectWaitMs(retries: number): number {
  return Math.min(firstWaitMs * 2 ** retries, longestWaitMs);
}

/** A refused token is refused again; everything else, a failed connect included, is worth a retry. */
export function isWorthRetrying(errorOrClose: unknown): boolean {
  return closeOf(errorOrClose)?.code !== forbidden;
}

/** What went wrong, in words: a close or error event has no message that GraphiQL could show. */
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
