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

/** Options that reconnect until it succeeds. Each wait is shown. */
export function reconnecting(show: (text: string) => void) {
  return {
    retryAttempts: Infinity,
    shouldRetry: isWorthRetrying,
    retryWait: (retries) => {
      const ms = reconnectWaitMs(retries);
      show(`Reconnecting in ${ms / 1_000} s (attempt ${retries + 1})`);
      return new Promise((resolve) => setTimeout(resolve, ms));
    },
  } satisfies Partial<ClientOptions>;
}

/** What a close means, in one sentence. */
export function closeText(event: unknown): string {
  const close = closeOf(event);
  if (!close) return "The connection was lost";
  if (close.code === forbidden) return "Closed with 4403: put a valid token into the Headers";
  return `Closed with ${close.code} ${close.reason}`.trim();
}

function closeOf(event: unknown): { code: number; reason: string } | undefined {
  if (typeof event !== "object" || event === null) return undefined;
  if (!("code" in event) || typeof event.code !== "number") return undefined;
  const reason = "reason" in event && typeof event.reason === "string" ? event.reason : "";
  return { code: event.code, reason };
}
