import { type Client, createClient } from "graphql-ws";
import WebSocket from "ws";
import type { Endpoint } from "../../harness/endpoint.ts";
import { resuming } from "@switchboard/client/graphql-ws";
import { authorization, type ConnectOptions } from "./client.ts";

/** A client that reconnects after any failure and resumes its subscriptions. */
export function socketClient(server: Endpoint, options?: ConnectOptions): Client {
  return resuming(plainSocketClient(server, options));
}

/** A client that reconnects after any failure and sends its subscriptions again as they were. */
export function plainSocketClient(server: Endpoint, options?: ConnectOptions): Client {
  return createClient({
    url: server.webSocket,
    webSocketImpl: WebSocket,
    connectionParams: authorization(options),
    shouldRetry: () => true,
    retryAttempts: Infinity,
    retryWait: options?.beforeRetry ?? (() => Promise.resolve()),
  });
}
