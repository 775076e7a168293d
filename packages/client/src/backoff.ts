/** The bounds of the wait before a retry. */
export interface Backoff {
  /** The longest wait before the first retry. It doubles with each further retry. */
  readonly firstMs: number;
  /** The longest wait before any retry. */
  readonly maxMs: number;
}

export const defaultBackoff: Backoff = { firstMs: 500, maxMs: 15_000 };

/** `setTimeout` fires at once for longer times than about 24 days. */
const longestTimerMs = 3_600_000;

/** The longest wait before the given retry; the first retry is number 1. */
export function ceilingMs(attempt: number, { firstMs, maxMs }: Backoff): number {
  return Math.min(maxMs, firstMs * 2 ** Math.max(0, attempt - 1));
}

/**
 * The wait before the given retry: a random part of its ceiling (full jitter), so that clients
 * that lost their connections together do not come back together. It is added to the time that
 * the server asked for.
 */
export function waitMs(
  attempt: number,
  backoff: Backoff,
  retryAfterMs = 0,
  random: () => number = Math.random,
): number {
  return Math.min(longestTimerMs, retryAfterMs + random() * ceilingMs(attempt, backoff));
}
