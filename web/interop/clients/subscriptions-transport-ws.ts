import { SubscriptionClient } from "subscriptions-transport-ws";
import WebSocket from "ws";
import { authorization, type Connect, single } from "./client.ts";
import { resubscribing } from "./resubscribe.ts";

/** The library that graphql-ws replaced, with its legacy subprotocol. */
export const connectSubscriptionsTransportWs: Connect = (server, options) => {
  let connectionsCount = 0;
  const client = new SubscriptionClient(
    server.webSocket,
    {
      reconnect: true,
      lazy: true,
      connectionParams: async () => {
        if (connectionsCount++ > 0) await options?.beforeRetry?.();
        return authorization(options);
      },
    },
    WebSocket,
  );
  // The library reconnects with the same variables object. An error means that the server refused.
  const { subscribe, stopAll } = resubscribing((request, { next }) => {
    const subscription = client.request(request).subscribe({
      next,
      error: (error) => {
        next({ errors: [error] });
      },
    });
    return () => {
      subscription.unsubscribe();
    };
  });
  return {
    run: (query, variables = {}) =>
      single((sink) => client.request({ query, variables }).subscribe(sink)),
    subscribe,
    close: () => {
      stopAll();
      client.close();
      return Promise.resolve();
    },
  };
};
