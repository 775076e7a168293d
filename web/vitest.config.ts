import { defineConfig } from "vitest/config";
import { clientAlias } from "./client-alias.ts";

// The suites that use a server wait more than they compute; the nginx suite waits for a minute.
const workersMax = 3;
const concurrentTestsMax = 24;
// These tests are slow because they wait. None of them should be reported as slow.
const slowMs = 600_000;

export default defineConfig({
  test: {
    // The identity provider of the tests warns that it is not set up for production.
    onConsoleLog: (log) => !log.includes("oidc-provider "),
    maxWorkers: workersMax,
    slowTestThreshold: slowMs,
    projects: [
      {
        resolve: { alias: clientAlias },
        test: { name: "unit", include: ["src/**/*.test.ts"] },
      },
      {
        resolve: { alias: clientAlias },
        test: {
          name: "interop",
          maxConcurrency: concurrentTestsMax,
          include: ["interop/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 30_000,
        },
      },
    ],
  },
});
