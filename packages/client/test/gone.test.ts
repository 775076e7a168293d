import { expect, test } from "vitest";
import { goneMessages } from "../src/gone.ts";

/** A snapshot of this many messages may not be the whole log. */
const last = 2;
const list = (...ids: string[]) => ids.map((id) => ({ id }));

test.each([
  ["nothing was shown", list(), list("1"), []],
  ["everything is still there", list("1"), list("1", "2"), []],
  ["the newest are gone", list("1", "2", "3"), list("1", "4"), ["2", "3"]],
  ["older ones are not in the snapshot", list("1", "2", "3"), list("2", "4"), ["3"]],
  ["the whole log is gone", list("1", "2"), list(), ["1", "2"]],
  ["another log begins", list("1", "2"), list("3"), ["1", "2"]],
  ["a full snapshot has none of them, so it is unknown", list("1"), list("2", "3"), []],
])("gone messages: %s", (_what, before, snapshot, gone) => {
  expect(goneMessages(before, snapshot, last)).toEqual(list(...gone));
});
