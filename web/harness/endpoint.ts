/** Where a client finds the server: the server itself, or what stands before it. */
export interface Endpoint {
  readonly http: string;
  readonly webSocket: string;
}

/** `host` is `name:port`. */
export function endpointAt(host: string): Endpoint {
  return { http: `http://${host}/graphql`, webSocket: `ws://${host}/graphql` };
}
