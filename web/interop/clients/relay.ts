import {
  Environment,
  type GraphQLResponse,
  Network,
  Observable,
  RecordSource,
  requestSubscription,
  Store,
} from "relay-runtime";
import { type Connect, post } from "./client.ts";
import { compile, parametersOf } from "./relay-artifact.ts";
import { socketClient } from "./socket.ts";

/** A Relay environment as in its manual, with graphql-ws for subscriptions. */
export const connectRelay: Connect = (server, options) => {
  const socket = socketClient(server, options);
  const network = Network.create(
    async ({ text }, variables) =>
      (await post(server, options, { query: text, variables })) as GraphQLResponse,
    ({ text }, variables) =>
      Observable.create<GraphQLResponse>((sink) =>
        socket.subscribe(
          { query: text ?? "", variables },
          {
            ...sink,
            next: (result) => {
              sink.next(result as GraphQLResponse);
            },
          },
        ),
      ),
  );
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  return {
    async run(document, variables = {}) {
      const request = network.execute(parametersOf(document), variables, { force: true });
      const result = await request.toPromise();
      if (!result || !("data" in result) || "errors" in result)
        throw new Error(JSON.stringify(result));
      return result.data;
    },
    subscribe(document, variables, sink) {
      const { dispose } = requestSubscription(environment, {
        subscription: compile(document),
        variables,
        onNext: (data) => {
          sink.next(data);
        },
        onError: (error) => {
          sink.error(error);
        },
      });
      return dispose;
    },
    close: async () => {
      await socket.dispose();
    },
  };
};
