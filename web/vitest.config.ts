import { defineConfig } from "vitest/config";

// The suites against a server wait more than they compute, the one behind nginx for a minute.
const workersMax = 3;
const concurrentTestsMax = 16;
// Waiting is what they do: none is worth a line of its own.
const slowMs = 600_000;

export default defineConfig({
  test: {
    maxWorkers: workersMax,
    slowTestThreshold: slowMs,
    projects: [
      { test: { name: "unit", include: ["src/**/*.test.ts"] } },
      {
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
