import type { BrowserContext } from "@playwright/test";

/** Collects errors, and requests to other origins, from all pages of a context. */
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
  // A data URL is part of its page.
  return protocol !== "data:" && host !== new URL(origin).host;
}
