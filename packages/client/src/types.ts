import type { DocumentNode, GraphQLFormattedError } from "graphql";

/**
 * A GraphQL document: its text, or a parsed document such as those of `gql` and of code
 * generators. A `TypedDocumentNode` gives the result and the variables their types.
 */
export type Document<Data = unknown, Variables = unknown> =
  string | (DocumentNode & { readonly __apiType?: (variables: Variables) => Data });

export type Variables = Readonly<Record<string, unknown>>;

/** One result, as the server sends it. */
export interface Result<Data = unknown> {
  readonly data?: Data | null;
  readonly errors?: readonly GraphQLFormattedError[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** Receives the results of a subscription. */
export interface Sink<Data = unknown> {
  /** A result. Its `errors` are errors of fields; the subscription continues. */
  next(result: Result<Data>): void;
  /** The subscription has ended and is not retried. */
  error(error: Error): void;
  /** The server ended the subscription, or the application closed the client. */
  complete?(): void;
}

/** A request as the protocols carry it. */
export interface Request {
  readonly query: string;
  readonly variables?: Variables | undefined;
  readonly operationName?: string | undefined;
}
