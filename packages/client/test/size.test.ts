import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { expect, test } from "vitest";

const source = (name: string) => resolve(import.meta.dirname, `../src/${name}.ts`);
const gzippedBytesMax = 10_000;

/** The bundle of an entry, minified, without the peer dependencies. */
async function bundle(name: string, only?: string): Promise<string> {
  const id = "virtual:entry";
  const names = only ?? "*";
  const code = `export ${only ? `{ ${names} }` : names} from ${JSON.stringify(source(name))};`;
  const built = await build({
    configFile: false,
    logLevel: "warn",
    plugins: [
      {
        name: "entry",
        enforce: "pre",
        // Vite makes a path of the entry.
        resolveId: (wanted) => (wanted.endsWith(id) ? `\0${id}` : undefined),
        load: (wanted) => (wanted === `\0${id}` ? code : undefined),
      },
    ],
    build: {
      write: false,
      minify: true,
      target: "es2022",
      modulePreload: false,
      rolldownOptions: {
        input: id,
        preserveEntrySignatures: "strict",
        external: ["graphql", "graphql-ws", "react", "@apollo/client"],
      },
    },
  });
  const { output } = built as Rolldown.RolldownOutput;
  return output.map((part) => (part.type === "chunk" ? part.code : "")).join("");
}

test("the main entry is small", async () => {
  const bytes = gzipSync(await bundle("index"), { level: 9 }).length;
  console.log(`main entry: ${bytes} bytes gzipped`);
  expect(bytes).toBeGreaterThan(1_000);
  expect(bytes).toBeLessThan(gzippedBytesMax);
});

test("parts that are not imported are left out", async () => {
  const reducers = await bundle("index", "presenceReducer, typingReducer");
  expect(reducers.length).toBeLessThan(1_500);
  expect(reducers).not.toContain("graphql-transport-ws");
  expect(await bundle("index", "createSwitchboard")).not.toContain("FollowRoom");
});
