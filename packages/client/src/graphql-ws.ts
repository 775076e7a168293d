import { parse, print } from "graphql";
import type { Client, SubscribePayload } from "graphql-ws";
import { moved, subscriptionOf } from "./document.ts";

/**
 * Wraps a graphql-ws client so that its subscriptions resume after a broken connection, without
 * loss and without repeats. Use it wherever a client is expected. With Apollo Client:
 *
 *     new GraphQLWsLink(resuming(createClient({ url, shouldRetry: () => true })))
 *
 * Switchboard puts the position of each message into `extensions.cursor`, selected or not. On a
 * reconnect graphql-ws sends each live subscription again. The wrapper then changes it to start
 * after the last cursor that it has seen.
 *
 * A subscription that breaks before its first message has no cursor yet, so it starts again as it
 * was written. To close that gap too, subscribe with `after: <the room's head>`. `iterate` is not
 * wrapped: results in its buffer cannot be distinguished from results that the caller has seen.
 */
export function resuming(client: Client): Client {
  return {
    ...client,
    subscribe(payload, sink) {
      let cursor: string | undefined;
      const resumable = {
        ...payload,
        // graphql-ws serialises the same object again for each connection.
        toJSON: () => (cursor === undefined ? payload : resumeAfter(payload, cursor)),
      };
      return client.subscribe(resumable, {
        next(result: Parameters<typeof sink.next>[0]) {
          cursor = cursorOf(result.extensions) ?? cursor;
          sink.next(result);
        },
        error: (error) => {
          sink.error(error);
        },
        complete: () => {
          sink.complete();
        },
      });
    },
  };
}

/** A copy of `payload` that starts after `cursor`, or `payload` itself if no field takes one. */
export function resumeAfter(payload: SubscribePayload, cursor: string): SubscribePayload {
  const subscription = subscriptionOf(parse(payload.query), payload.operationName);
  if (!subscription?.field) return payload;
  const { document, variables } = moved(subscription, payload.variables ?? undefined, cursor);
  const query = document === subscription.document ? payload.query : print(document);
  return { ...payload, query, ...(variables && { variables }) };
}

function cursorOf(extensions: unknown): string | undefined {
  if (typeof extensions !== "object" || extensions === null) return undefined;
  return "cursor" in extensions && typeof extensions.cursor === "string"
    ? extensions.cursor
    : undefined;
}
