import type { ExecutionResult } from "graphql";

const resultsShown = 20;

/** What the page shows of a running subscription, because the editor shows one value at a time. */
export interface ShownResults {
  /** How many results have arrived. */
  readonly received: number;
  /** At most the last 20 results. */
  readonly newestFirst: readonly ExecutionResult[];
}

/** Collects the results of one subscription. */
export function collector(): (result: ExecutionResult) => ShownResults {
  let shown: ShownResults = { received: 0, newestFirst: [] };
  return (result) => {
    const newestFirst = [result, ...shown.newestFirst].slice(0, resultsShown);
    shown = { received: shown.received + 1, newestFirst };
    return shown;
  };
}
