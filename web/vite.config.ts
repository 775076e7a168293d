import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { clientAlias } from "./client-alias.ts";

/** The running server that `npm run dev` uses. The built pages use their own origin. */
const devServer = process.env["SWITCHBOARD_URL"] ?? "http://127.0.0.1:4000";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: clientAlias },
  // Relative, because a proxy may serve the pages below a path.
  base: "./",
  build: {
    outDir: "dist",
    assetsDir: "assets",
    emptyOutDir: true,
    sourcemap: false,
    // Fonts and icons stay files, so that `font-src 'self'` is enough.
    assetsInlineLimit: 0,
    // Every browser that runs Monaco supports modulepreload natively.
    modulePreload: { polyfill: false },
    // The licences of the bundled packages are shipped with the bundle.
    license: { fileName: "assets/licenses.md" },
    // Monaco alone is larger than Vite's default limit for a chunk.
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: { graphiql: "graphiql.html" },
      // GraphiQL's modules contain "use no memo", a directive for a compiler that we do not use.
      checks: { moduleLevelDirective: false },
    },
  },
  server: {
    proxy: { "/graphql": { target: devServer, ws: true } },
  },
});
