import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where `npm run dev` finds a running server; the built pages use their own origin. */
const devServer = process.env["SWITCHBOARD_URL"] ?? "http://127.0.0.1:4000";

export default defineConfig({
  plugins: [react()],
  base: "/",
  build: {
    outDir: "dist",
    assetsDir: "assets",
    emptyOutDir: true,
    sourcemap: false,
    // Fonts and icons stay files, so that `font-src 'self'` is enough.
    assetsInlineLimit: 0,
    // Every browser that runs Monaco knows modulepreload by itself.
    modulePreload: { polyfill: false },
    // The licences of what is bundled travel with it.
    license: { fileName: "assets/licenses.md" },
    // Monaco alone is larger than Vite's idea of a chunk.
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: { graphiql: "graphiql.html" },
      // GraphiQL's modules say "use no memo" to a compiler that is not used here.
      checks: { moduleLevelDirective: false },
    },
  },
  server: {
    proxy: { "/graphql": { target: devServer, ws: true } },
  },
});
