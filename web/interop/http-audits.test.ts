import { type AuditResult, serverAudits } from "graphql-http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";

const auditsCount = 61;

const results: AuditResult[] = [];
let server: Switchboard;

beforeAll(async () => {
  server = await Switchboard.start();
});

afterAll(async () => {
  await server.destroy();
  const ok = results.filter(({ status }) => status === "ok");
  console.info(`graphql-http audits: ${ok.length} of ${auditsCount} are ok`);
});

const audits = serverAudits({ url: () => server.http });

test("the number of audits has not changed", () => {
  expect(audits).toHaveLength(auditsCount);
});

// A notice or a warning fails too: the server claims the whole suite.
test.each(audits)("$id $name", async ({ fn }) => {
  const result = await fn();
  results.push(result);
  expect(result.status, reasonOf(result)).toBe("ok");
});

function reasonOf(result: AuditResult): string {
  return result.status === "ok" ? "" : result.reason;
}
