import { expect, test, vi } from "vitest";
import { ConnectionStatus } from "./status.ts";

test("the newest subscription is shown, and older ones are not", () => {
  const status = new ConnectionStatus();
  const changed = vi.fn();
  status.subscribe(changed);
  const first = status.begin();
  first("connected");
  expect(status.getSnapshot()).toBe("connected");
  const second = status.begin();
  second("connecting");
  first("closed");
  expect(status.getSnapshot()).toBe("connecting");
  expect(changed).toHaveBeenCalledTimes(2);
});
