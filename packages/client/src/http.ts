import type { GraphQLFormattedError } from "graphql";
import { type Failure, responseFailure } from "./failure.ts";
import type { TokenSource } from "./token.ts";
import type { Request, Result } from "./types.ts";

export type Answer = Answered | Failure;

export interface Answered {
  readonly kind: "result";
  readonly result: Result;
  /** The token of the request. */
  readonly token: string | null;
}

const json = "application/graphql-response+json, application/json;q=0.9";

export interface HttpOptions {
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly tokens: TokenSource;
}

/** Sends requests by POST. */
export class Http {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** Sends a request with the current token. Rejects if there is no answer. */
  async post(request: Request, signal: AbortSignal, accept = json) {
    const { url, tokens, fetch } = this.#options;
    const token = await tokens.current();
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept,
        ...(token !== null && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(request),
      signal,
    });
    if (response.status !== 401) tokens.accepted(token);
    return { response, token };
  }

  /** Sends a request and reads its answer. Never rejects. */
  async execute(request: Request, signal: AbortSignal): Promise<Answer> {
    try {
      const { response, token } = await this.post(request, signal);
      return await answerOf(response, token);
    } catch (error) {
      return { kind: "broken", reason: messageOf(error) };
    }
  }

  /** Whether a GraphQL server answers over plain HTTP. */
  async works(withinMs: number): Promise<boolean> {
    const answer = await this.execute({ query: "{ __typename }" }, AbortSignal.timeout(withinMs));
    return answer.kind !== "broken";
  }
}

/** Reads an answer that is not a stream. */
export async function answerOf(response: Response, token: string | null): Promise<Answer> {
  const body = parseJson(await response.text());
  const errors = body?.errors;
  if (body && "data" in body) return { kind: "result", result: body, token };
  // The media type of older clients has the status 200 for errors too.
  return responseFailure(response, errors, token);
}

function parseJson(text: string): Result | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isResult = typeof value === "object" && value !== null;
    if (!isResult || !("data" in value || "errors" in value)) return undefined;
    return value as { data?: unknown; errors?: readonly GraphQLFormattedError[] };
  } catch {
    return undefined;
  }
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node's fetch only says "fetch failed"; the cause has the reason.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
