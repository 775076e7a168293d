import { ApolloLink, Observable } from "@apollo/client";
import { OperationTypeNode } from "graphql";
import { createSwitchboard, type Switchboard } from "./client.ts";
import type { SwitchboardOptions } from "./options.ts";

/**
 * The terminating link of Apollo Client for a Switchboard server. It carries queries and mutations
 * over HTTP, and subscriptions over the transport that works. Subscriptions resume.
 */
export class SwitchboardLink extends ApolloLink {
  /** The client behind the link: its connection state, and `close`. */
  readonly switchboard: Switchboard;

  /** Pass the options of `createSwitchboard`, or a client that it returned. */
  constructor(options: SwitchboardOptions | Switchboard) {
    super();
    this.switchboard = "subscribe" in options ? options : createSwitchboard(options);
  }

  override request(operation: ApolloLink.Operation): Observable<ApolloLink.Result> {
    return new Observable((observer) =>
      operation.operationType === OperationTypeNode.SUBSCRIPTION
        ? this.#subscribe(operation, observer)
        : this.#execute(operation, observer),
    );
  }

  #subscribe(operation: ApolloLink.Operation, observer: Observer): () => void {
    const { query, variables, operationName } = operation;
    return this.switchboard.subscribe(
      query,
      variables,
      {
        next: (result) => {
          observer.next(result as ApolloLink.Result);
        },
        error: (error) => {
          observer.error(error);
        },
        complete: () => {
          observer.complete();
        },
      },
      { ...(operationName !== undefined && { operationName }) },
    );
  }

  #execute(operation: ApolloLink.Operation, observer: Observer): () => void {
    const { query, variables, operationName } = operation;
    const abort = new AbortController();
    this.switchboard.execute(query, variables, { operationName, signal: abort.signal }).then(
      (result) => {
        observer.next(result as ApolloLink.Result);
        observer.complete();
      },
      (error: unknown) => {
        observer.error(error);
      },
    );
    return () => {
      abort.abort();
    };
  }
}

interface Observer {
  next(result: ApolloLink.Result): void;
  error(error: unknown): void;
  complete(): void;
}
