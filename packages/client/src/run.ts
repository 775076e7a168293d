import { type DocumentNode, getOperationAST, Kind, OperationTypeNode, print } from "graphql";
import { type Backoff, waitMs } from "./backoff.ts";
import { answerError, SwitchboardError } from "./errors.ts";
import type { Failure, Refused } from "./failure.ts";
import { type Answered, type Http, messageOf } from "./http.ts";
import type { TokenSource } from "./token.ts";
import type { Result, Variables } from "./types.ts";

export interface RunOptions {
  readonly variables?: Variables | undefined;
  readonly operationName?: string | undefined;
  /** How long the client repeats a request that fails and can be repeated safely. */
  readonly retryForMs?: number | undefined;
  /** Ends the request. */
  readonly signal?: AbortSignal | undefined;
}

export interface RunnerOptions {
  readonly http: Http;
  readonly tokens: TokenSource;
  /** Called when a request has renewed a token with which the streams may still run. */
  readonly onRenewed: () => void;
  readonly backoff: Backoff;
  readonly random: () => number;
}

const retryForMs = 30_000;
/** The longest time for one answer. It is longer than the longest poll of the server (55 s). */
const answerMs = 60_000;

/** Runs queries and mutations over HTTP. */
export class Runner {
  readonly #options: RunnerOptions;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /**
   * Sends a request until there is an answer. After a failure, a query is sent again, and so is a
   * mutation whose every field has a `nonce`. Any other mutation is sent again only if the server
   * answered that it did not execute it.
   */
  async run(document: DocumentNode, options: RunOptions): Promise<Result> {
    const { variables, operationName, signal } = options;
    const request = { query: print(document), variables, operationName };
    const isSafe = isRepeatable(document, options);
    let isRenewed = false;
    const endAt = Date.now() + (options.retryForMs ?? retryForMs);
    for (let attempt = 1; ; attempt += 1) {
      const limit = AbortSignal.timeout(answerMs);
      const within = signal ? AbortSignal.any([signal, limit]) : limit;
      const answer = await this.#options.http.execute(request, within);
      signal?.throwIfAborted();
      if (answer.kind === "result") {
        // A mutation that cannot be repeated may have refused another token: that of its argument.
        const refused = isSafe && !isRenewed ? refusal(answer) : undefined;
        if (!refused || (await this.#options.tokens.renew(refused))) return answer.result;
        isRenewed = true;
        this.#options.onRenewed();
        continue;
      }
      const waitedMs = await this.#waitAfter(answer, isSafe, attempt);
      if (Date.now() + waitedMs > endAt) throw connectionError(answer);
      await pause(waitedMs, signal);
    }
  }

  /** The time to wait before the request is sent again; throws if it must not be. */
  async #waitAfter(failure: Failure, isSafe: boolean, attempt: number): Promise<number> {
    const { tokens, backoff, random } = this.#options;
    if (failure.kind === "final") throw failure.error;
    if (failure.kind === "refused") {
      const error = await tokens.renew(failure);
      if (error) throw error;
      return 0;
    }
    if (!isSafe && !failure.notExecuted) throw connectionError(failure);
    return waitMs(attempt, backoff, failure.retryAfterMs, random);
  }
}

/** Whether the server knows the token but not its user, as after the restore of a backup. */
function refusal({ result: { data, errors = [] }, token }: Answered): Refused | undefined {
  const { code, message } = answerError(errors);
  const isExecuted = Object.values(data ?? {}).some((field) => field !== null);
  if (code !== "UNAUTHENTICATED" || isExecuted || token === null) return undefined;
  return { kind: "refused", reason: message, token };
}

function connectionError(failure: Failure): SwitchboardError {
  const reason = failure.kind === "final" ? messageOf(failure.error) : failure.reason;
  return new SwitchboardError("CONNECTION_FAILED", `The server did not answer: ${reason}`);
}

/** Whether the server executes a repeated request only once. */
function isRepeatable(
  document: DocumentNode,
  { operationName, variables }: Pick<RunOptions, "operationName" | "variables">,
): boolean {
  const operation = getOperationAST(document, operationName);
  if (operation?.operation !== OperationTypeNode.MUTATION) return true;
  return operation.selectionSet.selections.every((selection) => {
    if (selection.kind !== Kind.FIELD) return false;
    if (selection.name.value === "__typename") return true;
    const nonce = selection.arguments?.find(({ name }) => name.value === "nonce")?.value;
    return nonce?.kind === Kind.VARIABLE
      ? typeof variables?.[nonce.name.value] === "string"
      : nonce?.kind === Kind.STRING;
  });
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      if (signal?.aborted) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
