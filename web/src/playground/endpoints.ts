export interface Endpoints {
  readonly http: string;
  readonly webSocket: string;
}

/**
 * The endpoints of the server that served the page, over TLS if the page came over TLS. They are
 * beside the page, because a proxy may serve both below a path.
 */
export function endpointsOf(page: { readonly href: string }): Endpoints {
  const http = new URL("graphql", page.href);
  const webSocket = new URL(http);
  webSocket.protocol = http.protocol === "https:" ? "wss:" : "ws:";
  return { http: http.href, webSocket: webSocket.href };
}
