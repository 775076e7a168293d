export interface RequestOptions {
  /** The token of the caller; without it, the caller is anonymous. */
  readonly token?: string;
  readonly variables?: Record<string, unknown>;
}

interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly { readonly message: string }[];
}

/** Sends a query or a mutation to the endpoint at `url`. Throws if the answer has errors. */
export async function request<T>(
  url: string,
  query: string,
  options: RequestOptions = {},
): Promise<T> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (options.token !== undefined) headers["authorization"] = `Bearer ${options.token}`;
  const body = JSON.stringify({ query, variables: options.variables });
  const response = await fetch(url, { method: "POST", headers, body });
  const answer = (await response.json()) as Answer<T>;
  if (answer.errors || !answer.data) {
    const messages = answer.errors?.map(({ message }) => message) ?? ["no data"];
    throw new Error(messages.join("; "), { cause: answer });
  }
  return answer.data;
}
