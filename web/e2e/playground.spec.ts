import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { Switchboard } from "../harness/switchboard.ts";
import { Playground } from "./playground.ts";
import { witness } from "./witness.ts";

const sentText = "Hello from the playground";
const screenshotPath = join(import.meta.dirname, "out", "playground.png");
const phoneScreenshotPath = join(import.meta.dirname, "out", "phone.png");

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
  await sender.send();
  await expect(sender.response).toContainText(sentText);

  await listener.page.bringToFront();
  await expect(listener.response).toContainText(sentText);
  await expect(listener.status).toHaveText("Connected");
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
  await expect(listener.status).toContainText("Reconnecting in");
  await server.startAgain();
  await resubscribed;
  await expect(listener.status).toHaveText("Connected");

  const sender = await Playground.open(await context.newPage(), server.origin);
  await sender.send();
  await expect(listener.response).toContainText(sentText);
});

test("a refused token is shown and not retried silently", async ({ context }) => {
  const page = await Playground.open(await context.newPage(), server.origin);
  await page.typeHeaders({ Authorization: "Bearer nonsense" });
  await page.run();
  await expect(page.response).toContainText("4403");
  await expect(page.status).toContainText("put a valid token into the Headers");
});

test("the same guest sends from every tab, also after a reload and from a new tab", async ({
  page,
}) => {
  const playground = await Playground.open(page, server.origin);
  const who = async () => {
    await playground.chooseTab("LastMessages");
    const request = page.waitForRequest((sent) => sent.url().endsWith("/graphql"));
    await playground.run();
    return (await request).headers()["authorization"];
  };
  const first = await who();
  expect(first).toMatch(/^Bearer \S+$/);
  await page.reload();
  expect(await who()).toBe(first);
  await page.getByRole("button", { name: "New tab" }).click();
  await page.getByRole("button", { name: "Headers", exact: true }).click();
  await expect(page.getByRole("region", { name: "Headers" })).toContainText("Bearer");
});

test("the newest of many messages are shown", async ({ context }) => {
  const listener = await Playground.open(await context.newPage(), server.origin);
  const subscribed = listener.subscribed();
  await listener.run();
  await subscribed;
  const sender = await Playground.open(await context.newPage(), server.origin);
  await sender.send();
  await sender.runForData();
  await listener.page.bringToFront();
  await expect(listener.response).toContainText(`"received": 2`);
});

test("on a phone every part can be used, and the page does not scroll sideways", async ({
  browser,
}) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const listener = await Playground.open(await context.newPage(), server.origin);
  const subscribed = listener.subscribed();
  await listener.run();
  await subscribed;
  const sender = await Playground.open(await context.newPage(), server.origin);
  await sender.send();
  await expect(sender.response).toContainText(sentText);
  await listener.page.bringToFront();
  await expect(listener.response).toContainText(sentText);
  const { page } = listener;
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
  for (const part of [listener.response, page.getByRole("region", { name: "Operation Editor" })]) {
    const box = await part.boundingBox();
    expect(box?.width).toBeGreaterThan(280);
    expect(box?.height).toBeGreaterThan(150);
  }
  await page.screenshot({ path: phoneScreenshotPath });
  await context.close();
});

test("with an identity provider no guest signs in, and the page asks for a token", async ({
  page,
}) => {
  const provider = await Switchboard.start([
    ...["--auth", "jwt", "--jwt-secret", "0123456789abcdef0123456789abcdef"],
  ]);
  try {
    const playground = await Playground.open(page, provider.origin);
    await playground.chooseTab("SendMessage");
    const editor = page.getByRole("region", { name: "Operation Editor" });
    await expect(editor).toContainText("identity");
    await expect(page.getByText("SignIn")).toHaveCount(0);
  } finally {
    await provider.destroy();
  }
});
