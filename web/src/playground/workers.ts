import EditorWorker from "monaco-editor/esm/vs/editor/editor.worker.js?worker";
import JsonWorker from "monaco-editor/esm/vs/language/json/json.worker.js?worker";
import type {} from "monaco-editor";
import GraphQLWorker from "monaco-graphql/esm/graphql.worker.js?worker";

/** Serves Monaco's workers from our own origin, so the CSP allows neither a CDN nor blob URLs. */
window.MonacoEnvironment = {
  getWorker(_moduleId, label) {
    switch (label) {
      case "json":
        return new JsonWorker();
      case "graphql":
        return new GraphQLWorker();
      default:
        return new EditorWorker();
    }
  },
};
