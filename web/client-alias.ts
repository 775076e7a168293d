import { resolve } from "node:path";

const sources = resolve(import.meta.dirname, "../packages/client/src");

/**
 * Resolves `@switchboard/client` to its sources, so that the pages and the tests need no build of
 * the package. `paths` in tsconfig.json says the same to TypeScript.
 */
export const clientAlias = [
  { find: /^@switchboard\/client$/, replacement: `${sources}/index.ts` },
  { find: /^@switchboard\/client\/(.*)$/, replacement: `${sources}/$1.ts` },
];
