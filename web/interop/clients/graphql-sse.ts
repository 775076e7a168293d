import { createClient } from "graphql-sse";
import type { Endpoint } from "../../harness/endpoint.ts";
import { authorization, type Connect, type ConnectOptions, single } from "./client.ts";
import type { TestClient } from "./client.ts";
import { resubscribing } from "./resubscribe.ts";

const retryAttempts = 5;

/** A stream for each operation. */
export const connectGraphQLSse: Connect = (server, options) => connect(server, options, false);

/** One stream for all operations of a client. */
export const connectGraphQLSseSingle: Connect = (server, options) => connect(server, options, true);

function connect(
  server: Endpoint,
  options: ConnectOptions | undefined,
  singleConnection: boolean,
): TestClient {
  const beforeRetry = options?.beforeRetry ?? (() => Promise.resolve());
  const client = createClient({
    url: server.http,
    singleConnection,
    // A function: the library adds its reservation to the object, and an old one would be sent again.
    headers: () => authorization(options),
    retryAttempts,
    retry: beforeRetry,
  });
  // It comes back with the same variables object, unless the break found it still busy with
  // results: then it ends with an error.
  const { subscribe, stopAll } = resubscribing(
    (request, { next, broken }) =>
      client.subscribe(request, { next, error: broken, complete: () => undefined }),
    beforeRetry,
  );
  return {
    run: (query, variables = {}) => single((sink) => client.subscribe({ query, variables }, sink)),
    subscribe,
    close: () => {
      stopAll();
      client.dispose();
      return Promise.resolve();
    },
  };
}
