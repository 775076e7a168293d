import { defineConfig } from "vitest/config";
import { clientAlias } from "../../web/client-alias.ts";

const workersMax = 3;
// These tests are slow because they wait. None of them should be reported as slow.
const slowMs = 600_000;

export default defineConfig({
  test: {
    maxWorkers: workersMax,
    slowTestThreshold: slowMs,
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"] } },
      {
        resolve: { alias: clientAlias },
        test: {
          name: "integration",
          include: ["integration/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 30_000,
        },
      },
    ],
  },
});
