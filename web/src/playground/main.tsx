import "./workers.ts";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./playground.css";
import { useGraphiQL } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { StrictMode, useEffect, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { endpointsOf } from "./endpoints.ts";
import { createFetcher } from "./fetcher.ts";
import { signInGuest } from "./guest.ts";
import { ConnectionStatus } from "./status.ts";
import { defaultHeaders, defaultTabs } from "./tabs.ts";

const endpoints = endpointsOf(window.location);
const status = new ConnectionStatus();
const fetcher = createFetcher(endpoints, status);

/** Wraps long lines in the editor: on a phone the guidance would be cut. */
function useWrappedLines() {
  const editor = useGraphiQL((state) => state.queryEditor);
  useEffect(() => {
    editor?.updateOptions({ wordWrap: "on", wrappingIndent: "indent" });
  }, [editor]);
}

function Status() {
  useWrappedLines();
  const text = useSyncExternalStore(status.subscribe, status.getSnapshot);
  return (
    <div role="status" className="playground-status">
      {text}
    </div>
  );
}

const root = document.getElementById("root");
if (!root) throw new Error("graphiql.html has no #root");

const signIn = await signInGuest(endpoints.http, localStorage);

createRoot(root).render(
  <StrictMode>
    <GraphiQL
      fetcher={fetcher}
      defaultTabs={defaultTabs(signIn)}
      defaultHeaders={defaultHeaders(signIn)}
      defaultEditorToolsVisibility={signIn.kind === "guest" ? false : "headers"}
    >
      <GraphiQL.Logo>
        <span className="playground-name">Switchboard</span>
      </GraphiQL.Logo>
      <GraphiQL.Footer>
        <Status />
      </GraphiQL.Footer>
    </GraphiQL>
  </StrictMode>,
);
