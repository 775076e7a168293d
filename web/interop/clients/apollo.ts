import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { authorization, type Connect } from "./client.ts";
import { socketClient } from "./socket.ts";

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
    async run(document, variables = {}) {
      const parsed = gql(document);
      const { data } = document.startsWith("mutation")
        ? await client.mutate({ mutation: parsed, variables })
        : await client.query({ query: parsed, variables, fetchPolicy: "no-cache" });
      return data;
    },
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
