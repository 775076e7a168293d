import type { BrowserContext } from "@playwright/test";

/** Collects what must not happen in any page of a context: errors, and requests to elsewhere. */
export function witness(context: BrowserContext, origin: string): string[] {
  const complaints: string[] = [];
  const checkAddress = (address: string) => {
    if (isElsewhere(address, origin)) complaints.push(`request to ${address}`);
  };
  context.on("request", (request) => {
    checkAddress(request.url());
  });
  context.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console error: ${message.text()}`);
  });
  context.on("weberror", (error) => {
    complaints.push(`uncaught: ${error.error().message}`);
  });
  context.on("page", (page) => {
    page.on("websocket", (socket) => {
      checkAddress(socket.url());
    });
  });
  return complaints;
}

function isElsewhere(address: string, origin: string): boolean {
  const { protocol, host } = new URL(address);
  // A data URL is part of the page that holds it.
  return protocol !== "data:" && host !== new URL(origin).host;
}
