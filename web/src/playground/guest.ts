import type { Headers } from "./headers.ts";

/** How the page's requests are signed in. */
export type SignIn =
  /** As a guest, with these headers. */
  | { readonly kind: "guest"; readonly headers: Headers }
  /** The server takes tokens of an identity provider, which the user has to type. */
  | { readonly kind: "provider" }
  /** The server did not answer. */
  | { readonly kind: "unknown" };

const storageKey = "switchboard:guest";
const names = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Frances"];

interface Answer {
  readonly data?: {
    readonly viewer?: { readonly id: string } | null;
    readonly signIn?: { readonly token: string } | null;
  } | null;
  readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
}

/**
 * Signs a guest in, the same guest at each visit. If the server does not know the guest's token any
 * more, a new guest signs in.
 */
export async function signInGuest(url: string, storage: Storage): Promise<SignIn> {
  try {
    const kept = storage.getItem(storageKey);
    if (kept !== null && (await isValid(url, kept))) return guest(kept);
    const name = names[Math.floor(Math.random() * names.length)];
    const answer = await post(url, `mutation { signIn(name: "${name}") { token } }`);
    const token = answer.data?.signIn?.token;
    if (token === undefined) {
      const isRefused = answer.errors?.some((error) => error.extensions?.code === "FORBIDDEN");
      return { kind: isRefused ? "provider" : "unknown" };
    }
    storage.setItem(storageKey, token);
    return guest(token);
  } catch {
    return { kind: "unknown" };
  }
}

function guest(token: string): SignIn {
  return { kind: "guest", headers: { Authorization: `Bearer ${token}` } };
}

async function isValid(url: string, token: string): Promise<boolean> {
  const { data } = await post(url, "{ viewer { id } }", { Authorization: `Bearer ${token}` });
  return data?.viewer != null;
}

async function post(url: string, query: string, headers: Headers = {}): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ query }),
  });
  return (await response.json()) as Answer;
}
