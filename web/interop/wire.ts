/** One HTTP request. */
export interface Sent {
  readonly method: string;
  /** The operations in its body, or the one in its query string. */
  readonly operations: readonly Operation[];
}

interface Operation {
  readonly query?: string;
  readonly variables?: unknown;
}

/** A `fetch` that records the requests. */
export class Wire {
  readonly sent: Sent[] = [];

  readonly fetch: typeof fetch = (input, init) => {
    const request = new Request(input, init);
    this.sent.push({ method: request.method, operations: operationsIn(request.url, init?.body) });
    return fetch(input, init);
  };
}

function operationsIn(address: string, body: BodyInit | null | undefined): readonly Operation[] {
  if (typeof body !== "string") return [Object.fromEntries(new URL(address).searchParams)];
  const operations = JSON.parse(body) as Operation | Operation[];
  return Array.isArray(operations) ? operations : [operations];
}
