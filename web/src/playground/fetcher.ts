import type { Fetcher, FetcherParams, Observable } from "@graphiql/toolkit";
import { type ExecutionResult, OperationTypeNode } from "graphql";
import { type Client, type ClientOptions, createClient, type SubscribePayload } from "graphql-ws";
import { resuming } from "@switchboard/client/graphql-ws";
import type { Endpoints } from "./endpoints.ts";
import { type Headers, usableHeaders } from "./headers.ts";
import { chosenOperation } from "./operation.ts";
import { readableError, reconnectForever } from "./reconnect.ts";

/**
 * Sends queries and mutations over HTTP and subscriptions over a WebSocket, both with the headers
 * from the Headers pane.
 */
export function createFetcher(
  endpoints: Endpoints,
  connect: (options: ClientOptions) => Client = createClient,
): Fetcher {
  return (params, options) => {
    const headers = usableHeaders(options?.headers);
    const operation = chosenOperation(params.query, params.operationName);
    const payload = payloadOf(params, operation?.name?.value);
    return operation?.operation === OperationTypeNode.SUBSCRIPTION
      ? subscription(() => connect(clientOptions(endpoints, headers)), payload)
      : post(endpoints.http, payload, headers);
  };
}

function payloadOf(params: FetcherParams, operationName: string | undefined): SubscribePayload {
  const variables = params.variables as Record<string, unknown> | undefined;
  return { query: params.query, variables, operationName };
}

function clientOptions(endpoints: Endpoints, connectionParams: Headers): ClientOptions {
  return { url: endpoints.webSocket, connectionParams, lazy: true, ...reconnectForever };
}

interface Sink {
  next(result: ExecutionResult): void;
  error(error: unknown): void;
  complete(): void;
}

/**
 * Opens a connection for each run. A connection sends its credentials once, in `connection_init`,
 * and the headers may have changed since the last run. It closes with its only subscription.
 */
function subscription(
  connect: () => Client,
  payload: SubscribePayload,
): Observable<ExecutionResult> {
  const subscribe = (sink: Sink) => {
    const unsubscribe = resuming(connect()).subscribe(payload, {
      next: (result) => {
        // The types differ only in `errors: undefined`, which JSON cannot contain.
        sink.next(result as ExecutionResult);
      },
      error: (error) => {
        sink.error(readableError(error));
      },
      complete: () => {
        sink.complete();
      },
    });
    return { unsubscribe };
  };
  // GraphiQL always passes a whole sink; the type also allows separate callbacks.
  return { subscribe } as Observable<ExecutionResult>;
}

async function post(url: string, payload: SubscribePayload, headers: Headers) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
      ...headers,
    },
    body: JSON.stringify(payload),
  });
  const body = await response.text();
  try {
    return JSON.parse(body) as ExecutionResult;
  } catch {
    // The answer came from something between the page and the server, for example a proxy.
    throw new Error(`${response.status} ${response.statusText}: ${body.slice(0, 1_000)}`);
  }
}
