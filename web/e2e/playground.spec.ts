import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { Switchboard } from "../harness/switchboard.ts";
import { Playground } from "./playground.ts";
import { witness } from "./witness.ts";

const sentText = "Hello from the playground";
const screenshotPath = join(import.meta.dirname, "out", "playground.png");

let server: Switchboard;

test.beforeEach(async () => {
  server = await Switchboard.start();
});

test.afterEach(async () => {
  await server.destroy();
});

test("a message sent in one window appears in another", async ({ context }) => {
  const complaints = witness(context, server.origin);
  const listener = await Playground.open(await context.newPage(), server.origin);
  await expect(listener.page).toHaveTitle("Switchboard playground");
  const subscribed = listener.subscribed();
  await listener.run();
  await subscribed;

  const sender = await Playground.open(await context.newPage(), server.origin);
  await sender.signInAndSend();
  await expect(sender.response).toContainText(sentText);

  await listener.page.bringToFront();
  await expect(listener.response).toContainText(sentText);
  await expect(listener.response).toContainText("Ada");
  await listener.page.screenshot({ path: screenshotPath });
  expect(complaints).toEqual([]);
});

test("a running subscription survives a restart of the server", async ({ context }) => {
  const listener = await Playground.open(await context.newPage(), server.origin);
  const subscribed = listener.subscribed();
  await listener.run();
  await subscribed;
  const resubscribed = listener.subscribed();
  await server.stop();
  await server.startAgain();
  await resubscribed;

  const sender = await Playground.open(await context.newPage(), server.origin);
  await sender.signInAndSend();
  await expect(listener.response).toContainText(sentText);
});

test("a refused token is shown and not retried silently", async ({ context }) => {
  const page = await Playground.open(await context.newPage(), server.origin);
  await page.typeHeaders({ Authorization: "Bearer nonsense" });
  await page.run();
  await expect(page.response).toContainText("4403");
});
