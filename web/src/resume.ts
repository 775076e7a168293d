import {
  type ArgumentNode,
  type ConstArgumentNode,
  type DocumentNode,
  type FieldNode,
  getOperationAST,
  Kind,
  OperationTypeNode,
  parse,
  print,
  visit,
} from "graphql";
import type { Client, SubscribePayload } from "graphql-ws";

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
  const document = parse(payload.query);
  const field = subscribedField(document, payload.operationName);
  if (!field) return payload;
  const after = field.arguments?.find(isAfter);
  if (after?.value.kind === Kind.VARIABLE) {
    return { ...payload, variables: { ...payload.variables, [after.value.name.value]: cursor } };
  }
  return { ...payload, query: print(withAfter(document, field, cursor)) };
}

function cursorOf(extensions: unknown): string | undefined {
  if (typeof extensions !== "object" || extensions === null) return undefined;
  return "cursor" in extensions && typeof extensions.cursor === "string"
    ? extensions.cursor
    : undefined;
}

function subscribedField(document: DocumentNode, operationName?: string | null) {
  const operation = getOperationAST(document, operationName);
  if (operation?.operation !== OperationTypeNode.SUBSCRIPTION) return undefined;
  return operation.selectionSet.selections.find((selection) => selection.kind === Kind.FIELD);
}

function isAfter(argument: ArgumentNode): boolean {
  return argument.name.value === "after";
}

function withAfter(document: DocumentNode, field: FieldNode, cursor: string): DocumentNode {
  const after: ConstArgumentNode = {
    kind: Kind.ARGUMENT,
    name: { kind: Kind.NAME, value: "after" },
    value: { kind: Kind.STRING, value: cursor },
  };
  const others = field.arguments?.filter((argument) => !isAfter(argument)) ?? [];
  return visit(document, {
    Field: (node) => (node === field ? { ...node, arguments: [...others, after] } : undefined),
  });
}
