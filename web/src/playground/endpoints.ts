export interface Endpoints {
  readonly http: string;
  readonly webSocket: string;
}

/** The endpoints of the server that served the page, over TLS if the page came over TLS. */
export function endpointsOf(page: { readonly origin: string }): Endpoints {
  const http = new URL("/graphql", page.origin);
  const webSocket = new URL(http);
  webSocket.protocol = http.protocol === "https:" ? "wss:" : "ws:";
  return { http: http.href, webSocket: webSocket.href };
}
