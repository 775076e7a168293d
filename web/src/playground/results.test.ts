import { expect, test } from "vitest";
import { collector } from "./results.ts";

test("the last results are shown, the newest first", () => {
  const collect = collector();
  expect(collect({ data: { n: 1 } })).toEqual({ received: 1, newestFirst: [{ data: { n: 1 } }] });
  for (let n = 2; n < 30; n += 1) collect({ data: { n } });
  const { received, newestFirst } = collect({ data: { n: 30 } });
  expect(received).toBe(30);
  expect(newestFirst.map(({ data }) => data?.["n"])).toEqual(
    Array.from({ length: 20 }, (_, index) => 30 - index),
  );
});
