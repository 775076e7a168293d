import { expect, test } from "@playwright/test";
import { Nginx } from "../harness/nginx.ts";
import { Switchboard } from "../harness/switchboard.ts";
import { Playground } from "./playground.ts";
import { witness } from "./witness.ts";

const sentText = "Hello from the playground";

let server: Switchboard;
let nginx: Nginx;

test.afterEach(async () => {
  await nginx.stop();
  await server.destroy();
});

const setups = [
  { path: "/chat", flags: ["--base-path", "/chat"], passes: "keeps the path" },
  { path: "/cut", flags: ["--base-path", "/cut"], passes: "removes the path" },
  { path: "/cut", flags: [], passes: "removes the path, which the server does not know" },
];

for (const { path, flags, passes } of setups) {
  test(`the playground works behind a proxy that ${passes}`, async ({ context }) => {
    server = await Switchboard.start(flags);
    nginx = await Nginx.start(server.port, "below a path");
    const origin = new URL(nginx.http).origin;
    const complaints = witness(context, origin);
    // The home page leads to the playground.
    const first = await context.newPage();
    await first.goto(`${origin}${path}/`);
    expect(first.url()).toBe(`${origin}${path}/graphiql`);

    const listener = await Playground.open(first, `${origin}${path}`);
    const subscribed = listener.subscribed();
    await listener.run();
    await subscribed;
    const sender = await Playground.open(await context.newPage(), `${origin}${path}`);
    await sender.send();
    await listener.page.bringToFront();
    await expect(listener.response).toContainText(sentText);
    expect(complaints).toEqual([]);
  });
}
