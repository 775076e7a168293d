/** The URLs by which a client reaches the server, directly or through a proxy. */
export interface Endpoint {
  readonly http: string;
  readonly webSocket: string;
}

/** The endpoint at `host`, which is `name:port`. */
export function endpointAt(host: string): Endpoint {
  return { http: `http://${host}/graphql`, webSocket: `ws://${host}/graphql` };
}
