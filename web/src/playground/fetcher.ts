import type { Fetcher, FetcherParams, Observable } from "@graphiql/toolkit";
import { type ExecutionResult, OperationTypeNode } from "graphql";
import { type Client, type ClientOptions, createClient, type SubscribePayload } from "graphql-ws";
import { resuming } from "@switchboard/client/graphql-ws";
import type { Endpoints } from "./endpoints.ts";
import { type Headers, usableHeaders } from "./headers.ts";
import { chosenOperation } from "./operation.ts";
import { closeText, readableError, reconnecting } from "./reconnect.ts";
import { collector } from "./results.ts";
import { ConnectionStatus } from "./status.ts";

/**
 * Sends queries and mutations over HTTP and subscriptions over a WebSocket, both with the headers
 * from the Headers pane.
 */
export function createFetcher(
  endpoints: Endpoints,
  status: ConnectionStatus,
  connect: (options: ClientOptions) => Client = createClient,
): Fetcher {
  return (params, options) => {
    const headers = usableHeaders(options?.headers);
    const operation = chosenOperation(params.query, params.operationName);
    const payload = payloadOf(params, operation?.name?.value);
    return operation?.operation === OperationTypeNode.SUBSCRIPTION
      ? subscription(status, payload, (show) => connect(clientOptions(endpoints, headers, show)))
      : post(endpoints.http, payload, headers);
  };
}

function payloadOf(params: FetcherParams, operationName: string | undefined): SubscribePayload {
  const variables = params.variables as Record<string, unknown> | undefined;
  return { query: params.query, variables, operationName };
}

/** Shows the state of the connection to the user. */
type Show = (text: string) => void;

function clientOptions(endpoints: Endpoints, connectionParams: Headers, show: Show): ClientOptions {
  return {
    url: endpoints.webSocket,
    connectionParams,
    lazy: true,
    ...reconnecting(show),
    on: {
      connected: () => {
        show("Connected");
      },
      closed: (event) => {
        show(closeText(event));
      },
    },
  };
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
  status: ConnectionStatus,
  payload: SubscribePayload,
  connect: (show: Show) => Client,
): Observable<ExecutionResult> {
  const subscribe = (sink: Sink) => {
    const [show, collect] = [status.begin(), collector()];
    show("Connecting …");
    const unsubscribe = resuming(connect(show)).subscribe(payload, {
      next: (result) => {
        // The types differ only in `errors: undefined`, which JSON cannot contain. GraphiQL shows
        // whatever it gets as JSON.
        sink.next(collect(result as ExecutionResult) as ExecutionResult);
      },
      error: (error) => {
        sink.error(readableError(error));
      },
      complete: () => {
        show("The subscription has ended");
        sink.complete();
      },
    });
    const stop = () => {
      unsubscribe();
      show("Stopped");
    };
    return { unsubscribe: stop };
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
