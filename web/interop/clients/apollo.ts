import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { CombinedGraphQLErrors, CombinedProtocolErrors } from "@apollo/client/errors";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import WebSocket from "ws";
import { authorization, type Connect, type TestClient } from "./client.ts";
import { resubscribing } from "./resubscribe.ts";
import { socketClient } from "./socket.ts";

// `GraphQLWsLink` reads the global when an operation fails. Node 20 does not have it.
if (!("WebSocket" in globalThis)) Object.assign(globalThis, { WebSocket });

/** Apollo Client with subscriptions over a WebSocket, and the rest over HTTP. */
export const connectApollo: Connect = (server, options) => {
  const socket = socketClient(server, options);
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: server.http, headers: authorization(options) }),
    ),
  });
  return {
    run: running(client),
    subscribe(document, variables, sink) {
      const subscription = client
        .subscribe({ query: gql(document), variables })
        .subscribe(({ data, error }) => {
          if (error) sink.error(error);
          else sink.next(data);
        });
      return () => {
        subscription.unsubscribe();
      };
    },
    async close() {
      client.stop();
      await socket.dispose();
    },
  };
};

/** Apollo Client with its default HTTP link only: subscriptions are multipart answers. */
export const connectApolloHttp: Connect = (server, options) => {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new HttpLink({ uri: server.http, headers: authorization(options) }),
  });
  const { subscribe, stopAll } = resubscribing(({ query, variables }, { next, broken }) => {
    const subscription = client
      .subscribe({ query: gql(query), variables: { ...variables } })
      .subscribe(({ data, error, extensions }) => {
        if (isAnswer(error)) next({ errors: error.errors });
        else if (error) broken(error);
        else next({ data, extensions });
      });
    return () => {
      subscription.unsubscribe();
    };
  }, options?.beforeRetry);
  return {
    run: running(client),
    subscribe,
    close: () => {
      stopAll();
      client.stop();
      return Promise.resolve();
    },
  };
};

/** Distinguishes the errors that the server sent from a broken connection. */
function isAnswer(error: unknown): error is CombinedGraphQLErrors | CombinedProtocolErrors {
  return CombinedGraphQLErrors.is(error) || CombinedProtocolErrors.is(error);
}

function running(client: ApolloClient): TestClient["run"] {
  return async (document, variables = {}) => {
    const parsed = gql(document);
    const { data } = document.startsWith("mutation")
      ? await client.mutate({ mutation: parsed, variables })
      : await client.query({ query: parsed, variables, fetchPolicy: "no-cache" });
    return data;
  };
}
