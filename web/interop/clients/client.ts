import type { Endpoint } from "../../harness/endpoint.ts";

export type Variables = Record<string, unknown>;

/** A result of an operation, typed loosely enough for all libraries. */
export interface Result {
  readonly data?: unknown;
  readonly errors?: unknown;
  readonly extensions?: unknown;
}

export interface Sink {
  next(data: unknown): void;
  error(error: unknown): void;
}

/** The common interface of the client libraries, so that one scenario runs with each of them. */
export interface TestClient {
  /** Runs a query or a mutation and returns its `data`; any error rejects. */
  run(document: string, variables?: Variables): Promise<unknown>;
  /** Starts a subscription that passes each `data` to the sink. Returns a stop function. */
  subscribe(document: string, variables: Variables, sink: Sink): () => void;
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly token?: string;
  /** Runs before each attempt to reconnect, so that a test decides when it happens. */
  readonly beforeRetry?: () => Promise<void>;
}

export type Connect = (server: Endpoint, options?: ConnectOptions) => TestClient;

/** The token as HTTP headers or as the payload of `connection_init`; the field is the same. */
export function authorization(options?: ConnectOptions): Record<string, string> {
  return options?.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
}

/** Passes one result of a subscription on. */
export function deliver(result: Result, sink: Sink): void {
  if (result.errors) sink.error(result.errors);
  else sink.next(result.data);
}

/** The position of a result in its room. Switchboard adds it whatever the document selects. */
export function cursorOf(result: Result): string | undefined {
  const { cursor } = (result.extensions ?? {}) as { readonly cursor?: string };
  return cursor;
}

/** Runs an operation that has one result with a library that only supports streams. */
export function single(
  start: (sink: {
    next(result: Result): void;
    error(error: unknown): void;
    complete(): void;
  }) => unknown,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let answer: unknown;
    start({
      next(result) {
        if (result.errors) reject(new Error(JSON.stringify(result.errors)));
        answer = result.data;
      },
      error: reject,
      complete() {
        resolve(answer);
      },
    });
  });
}

/** Runs a query or a mutation with `fetch`, for libraries that only subscribe. */
export async function post(
  server: Endpoint,
  options: ConnectOptions | undefined,
  request: { readonly query: string | null | undefined; readonly variables: Variables },
): Promise<Result> {
  const response = await fetch(server.http, {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization(options) },
    body: JSON.stringify(request),
  });
  return (await response.json()) as Result;
}
