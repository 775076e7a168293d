import { beforeEach, expect, test, vi } from "vitest";
import { signInGuest } from "./guest.ts";

const url = "http://sb.test/graphql";
const httpFetch = vi.fn<typeof fetch>();
let kept: string | null;
const storage = {
  getItem: () => kept,
  setItem: (_key: string, value: string) => (kept = value),
} as unknown as Storage;

function answers(...bodies: object[]): void {
  for (const body of bodies) httpFetch.mockResolvedValueOnce(Response.json(body));
}

const viewer = { data: { viewer: { id: "usr_1" } } };
const unauthenticated = { errors: [{ extensions: { code: "UNAUTHENTICATED" } }] };
const signedIn = { data: { signIn: { token: "new" } } };
const ofGuest = (token: string) => ({
  kind: "guest",
  headers: { Authorization: `Bearer ${token}` },
});

beforeEach(() => {
  kept = null;
  httpFetch.mockReset();
  vi.stubGlobal("fetch", httpFetch);
});

test("the first visit signs a guest in, and later visits keep the guest", async () => {
  answers(signedIn, viewer);
  expect(await signInGuest(url, storage)).toEqual(ofGuest("new"));
  expect(await signInGuest(url, storage)).toEqual(ofGuest("new"));
  expect(httpFetch).toHaveBeenCalledTimes(2);
});

test.each([[unauthenticated], [{ data: { viewer: null } }]])(
  "a token that the server does not know is replaced: %j",
  async (refused) => {
    kept = "old";
    answers(refused, signedIn);
    expect(await signInGuest(url, storage)).toEqual(ofGuest("new"));
  },
);

test("with an identity provider there is no guest", async () => {
  answers({ data: { signIn: null }, errors: [{ extensions: { code: "FORBIDDEN" } }] });
  expect(await signInGuest(url, storage)).toEqual({ kind: "provider" });
});

test("without an answer nothing is stored", async () => {
  httpFetch.mockRejectedValue(new TypeError("fetch failed"));
  expect(await signInGuest(url, storage)).toEqual({ kind: "unknown" });
  expect(kept).toBeNull();
});
