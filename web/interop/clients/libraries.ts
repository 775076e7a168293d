import { connectApollo, connectApolloHttp } from "./apollo.ts";
import type { Connect } from "./client.ts";
import { connectEventSource } from "./event-source.ts";
import { connectGraphQLSse, connectGraphQLSseSingle } from "./graphql-sse.ts";
import {
  connectGraphQLWsExecutor,
  connectHttpExecutor,
  connectLegacyWsExecutor,
} from "./graphql-tools.ts";
import { connectGraphQLWs } from "./graphql-ws.ts";
import { connectRelay } from "./relay.ts";
import { connectSubscriptionsTransportWs as connectLegacy } from "./subscriptions-transport-ws.ts";
import { connectSwitchboard, connectSwitchboardSse } from "./switchboard.ts";
import { connectUrql, connectUrqlHttp } from "./urql.ts";

/** A client library with one of its transports. */
export interface Library {
  readonly name: string;
  readonly connect: Connect;
  /** The transport of its subscriptions. */
  readonly over: "WebSocket" | "HTTP";
  /**
   * The documents with which it resumes after a break: those that pass `after` as a variable, or
   * any, because it inserts the cursor itself.
   */
  readonly resumes: "a variable" | "any document";
}

export const libraries: readonly Library[] = [
  library("graphql-ws", connectGraphQLWs, "WebSocket", "any document"),
  library("Apollo Client over WebSocket", connectApollo, "WebSocket", "any document"),
  library("Apollo Client over HTTP", connectApolloHttp, "HTTP", "a variable"),
  library("urql over WebSocket", connectUrql, "WebSocket", "any document"),
  library("urql over HTTP", connectUrqlHttp, "HTTP", "a variable"),
  library("Relay", connectRelay, "WebSocket", "any document"),
  library("graphql-sse, distinct connections", connectGraphQLSse, "HTTP", "a variable"),
  library("graphql-sse, single connection", connectGraphQLSseSingle, "HTTP", "a variable"),
  library("EventSource", connectEventSource, "HTTP", "any document"),
  library("subscriptions-transport-ws", connectLegacy, "WebSocket", "a variable"),
  library("GraphQL Tools over HTTP", connectHttpExecutor, "HTTP", "a variable"),
  library("GraphQL Tools over graphql-ws", connectGraphQLWsExecutor, "WebSocket", "a variable"),
  library("GraphQL Tools, legacy dialect", connectLegacyWsExecutor, "WebSocket", "a variable"),
  library("the client package over WebSocket", connectSwitchboard, "WebSocket", "any document"),
  library("the client package over event streams", connectSwitchboardSse, "HTTP", "any document"),
];

/** Rows for `test.each`, which prints the name only if it is a value of its own. */
export function named(libraries: readonly Library[]): [string, Library][] {
  return libraries.map((library) => [library.name, library]);
}

function library(
  name: string,
  connect: Connect,
  over: Library["over"],
  resumes: Library["resumes"],
): Library {
  return { name, connect, over, resumes };
}
