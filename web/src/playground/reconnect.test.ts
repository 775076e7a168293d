import { expect, test } from "vitest";
import { isWorthRetrying, readableError, reconnectWaitMs } from "./reconnect.ts";

test("the wait doubles, up to a bound", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 1_000].map(reconnectWaitMs)).toEqual([
    250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000,
  ]);
});

test("a failed connect and a lost connection are worth a retry, a refused token is not", () => {
  expect(isWorthRetrying({ type: "error" })).toBe(true);
  expect(isWorthRetrying({ code: 1012, reason: "" })).toBe(true);
  expect(isWorthRetrying({ code: 4403, reason: "Forbidden" })).toBe(false);
});

test("a close event becomes a readable error; any other error is unchanged", () => {
  expect(readableError({ code: 4403, reason: "Forbidden" })).toEqual(
    new Error("The connection was closed: 4403 Forbidden"),
  );
  const errors = [{ message: "unknown field" }];
  expect(readableError(errors)).toBe(errors);
});
