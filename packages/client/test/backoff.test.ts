import { expect, test } from "vitest";
import { ceilingMs, defaultBackoff, waitMs } from "../src/backoff.ts";

const backoff = { firstMs: 100, maxMs: 1_000 };

test("the longest wait doubles, up to a bound", () => {
  const ceilings = [1, 2, 3, 4, 5, 6, 1_000].map((attempt) => ceilingMs(attempt, backoff));
  expect(ceilings).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

test("the wait is any part of it", () => {
  expect([0, 0.5, 1].map((part) => waitMs(3, backoff, 0, () => part))).toEqual([0, 200, 400]);
});

test("the time that the server asks for comes first", () => {
  expect(waitMs(1, backoff, 5_000, () => 0.5)).toBe(5_050);
  // A timer for more than 24 days would fire at once.
  expect(waitMs(1, backoff, 1e12, () => 0.5)).toBe(3_600_000);
});

test("by default a user waits at most 15 seconds", () => {
  expect(ceilingMs(100, defaultBackoff)).toBe(15_000);
});
