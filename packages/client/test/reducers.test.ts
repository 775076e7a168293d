import { expect, test } from "vitest";
import { seeded } from "../../../web/harness/random.ts";
import {
  type Present,
  type PresenceEvent,
  presenceReducer,
  type PresenceState,
  typingReducer,
} from "../src/reducers.ts";

const person = (id: string): Present => ({ user: { id } });
const idsOf = (state?: PresenceState) => state?.users.map(({ user }) => user.id);
const result = (event: Partial<PresenceEvent>) => ({
  data: { presence: { count: 0, joined: [], left: [], ...event } },
});

test("a snapshot replaces the state, a delta changes it", () => {
  let state = presenceReducer(undefined, result({ count: 2, present: [person("a"), person("b")] }));
  expect(idsOf(state)).toEqual(["a", "b"]);
  state = presenceReducer(state, result({ count: 2, joined: [person("c")], left: [{ id: "a" }] }));
  expect(idsOf(state)).toEqual(["b", "c"]);
  state = presenceReducer(state, result({ count: 300, present: [person("d")] }));
  expect(state).toEqual({ users: [person("d")], count: 300 });
});

test("a result without data leaves the state, and nothing is changed in place", () => {
  const state = Object.freeze({ users: Object.freeze([person("a")]), count: 1 });
  expect(presenceReducer(state, { data: null })).toBe(state);
  expect(idsOf(presenceReducer(state, result({ count: 0, left: [{ id: "a" }] })))).toEqual([]);
  expect(idsOf(state)).toEqual(["a"]);
});

test("a user who left and joined again is listed once, as the last", () => {
  const state = { users: [person("a"), person("b")], count: 2 };
  const next = presenceReducer(
    state,
    result({ count: 2, joined: [person("a")], left: [{ id: "a" }] }),
  );
  expect(idsOf(next)).toEqual(["b", "a"]);
});

test.each([1, 2, 3, 4])("a reader that skips states ends with the current one, seed %i", (seed) => {
  const random = seeded(seed);
  let present: string[] = [];
  let state: PresenceState | undefined;
  let skipped = true;
  for (let step = 0; step < 500; step += 1) {
    const id = `user ${Math.floor(random() * 20)}`;
    const leaves = present.includes(id);
    present = leaves ? present.filter((other) => other !== id) : [...present, id];
    const isRead = random() < 0.5 || step === 499;
    // The server sends a snapshot to a reader that has missed a delta.
    const change = leaves ? { left: [{ id }] } : { joined: [person(id)] };
    const event = skipped ? { present: present.map(person) } : change;
    if (isRead) state = presenceReducer(state, result({ count: present.length, ...event }));
    skipped = !isRead;
  }
  expect(idsOf(state)).toEqual(present);
  expect(state?.count).toBe(present.length);
});

test("typing is the list of the last result", () => {
  const users = [{ id: "a" }];
  const state = typingReducer(undefined, { data: { typing: { users } } });
  expect(state).toBe(users);
  expect(typingReducer(state, { data: null })).toBe(users);
  expect(typingReducer(state, { data: { typing: { users: [] } } })).toEqual([]);
});
