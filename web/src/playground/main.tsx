import "./workers.ts";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./playground.css";
import { GraphiQL } from "graphiql";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { endpointsOf } from "./endpoints.ts";
import { createFetcher } from "./fetcher.ts";
import { defaultTabs } from "./tabs.ts";

const fetcher = createFetcher(endpointsOf(window.location));

const root = document.getElementById("root");
if (!root) throw new Error("graphiql.html has no #root");

createRoot(root).render(
  <StrictMode>
    <GraphiQL fetcher={fetcher} defaultTabs={defaultTabs}>
      <GraphiQL.Logo>
        <span className="playground-name">Switchboard</span>
      </GraphiQL.Logo>
    </GraphiQL>
  </StrictMode>,
);
