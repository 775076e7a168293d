import { execFile } from "node:child_process";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@playwright/test";
import { createSwitchboard } from "@switchboard/client";
import { Project } from "../harness/client-package.ts";
import { executable, Switchboard } from "../harness/switchboard.ts";
import { ChatPage, DevServer, writeExample } from "./frontend.ts";

// The applications of docs/FRONTEND.md as they stand, with their development servers, in Chromium.

const run = promisify(execFile);
const viteTemplate = resolve(import.meta.dirname, "../node_modules/create-vite/template-react");
const scratchFolder = resolve(import.meta.dirname, "out");
const packages = ["react", "react-dom", "graphql", "@apollo/client", "rxjs"];
/** The configuration that create-next-app writes. */
const nextConfiguration = "export default { cacheComponents: true, partialPrefetching: true };";
const vite = ["--port", "0", "--host", "localhost"];

let server: Switchboard;
let project: Project;
let pages: DevServer | undefined;

test.beforeEach(async () => {
  server = await Switchboard.start();
});

test.afterEach(async () => {
  await pages?.stop();
  pages = undefined;
  await project.destroy();
  await server.destroy();
});

/** Sends messages as another user, whether or not the server is reachable at the moment. */
async function otherUser() {
  const client = createSwitchboard({ url: server.http, backoff: { maxMs: 200 } });
  const { signIn } = await client.run<{ signIn: { token: string } }>(
    'mutation { signIn(name: "Other") { token } }',
  );
  const signedIn = createSwitchboard({
    url: server.http,
    token: signIn.token,
    backoff: { maxMs: 200 },
  });
  return (text: string) =>
    signedIn.run(
      `mutation ($text: String!) {
        sendMessage(roomId: "room-1", text: $text, nonce: $text) { id }
      }`,
      { text },
    );
}

/** The texts in the server's log. */
async function log(): Promise<string[]> {
  interface Log {
    readonly messages: { readonly nodes: readonly { readonly text: string }[] };
  }
  const client = createSwitchboard({ url: server.http });
  const query = '{ messages(roomId: "room-1", last: 100) { nodes { text } } }';
  return (await client.run<Log>(query)).messages.nodes.map(({ text }) => text);
}

async function viteProject(): Promise<void> {
  project = await Project.create([...packages, "vite", "@vitejs/plugin-react"]);
  await cp(viteTemplate, project.folder, { recursive: true });
  await writeExample(project, "vite", server.host);
}

/** Sends from the page and as another user, kills the server in between, and compares. */
async function chat(page: ChatPage): Promise<void> {
  const send = await otherUser();
  await send("from another");
  await page.send("from the page");
  await page.shows(["from another", "from the page"]);
  await server.kill();
  await page.reaches("reconnecting");
  await page.send("while the server is away");
  await server.startAgain();
  await page.reaches("live");
  await page.shows(["from another", "from the page", "while the server is away"]);
  await send("after the kill");
  await page.shows(await log());
  await expect(page.notice).toHaveCount(0);
}

/** The server begins again with a backup: the page says what is gone, and shows the log again. */
async function restore(pages: readonly ChatPage[], file: string, gone: string[]): Promise<void> {
  await server.stop();
  await run(executable(), ["restore", file, "--database", `sqlite://${server.database}`]);
  await server.startAgain();
  for (const page of pages) {
    await expect(page.notice).toContainText("restored from a backup", { timeout: 30_000 });
    await expect(page.notice).toContainText(`had shown ${gone.length} of them`);
    await expect(page.gone).toHaveText(gone);
    await page.shows(await log());
    await page.reaches("live");
  }
}

async function backUp(): Promise<string> {
  const file = join(project.folder, "backup.db");
  await run(executable(), ["backup", file, "--database", `sqlite://${server.database}`]);
  return file;
}

const byNumber = new Intl.Collator("en", { numeric: true }).compare;
const otherPerKill = 12;
const pagePerKill = 3;

test("Vite, React and Apollo Client: two pages, three kills, and a restored backup", async ({
  browser,
}) => {
  test.setTimeout(120_000);
  await viteProject();
  pages = await DevServer.start("vite", vite, project.folder);
  const { origin } = pages;
  const open = async () => ChatPage.open(await (await browser.newContext()).newPage(), origin);
  const ann = await open();
  const send = await otherUser();
  await send("before the backup");
  await ann.send("ann before the backup");
  await ann.shows(["before the backup", "ann before the backup"]);
  const backup = await backUp();
  // The backup has no guest for this page. After the restore, the page must sign in again.
  const bob = await open();
  await bob.send("bob after the backup");

  for (let kill = 1; kill <= 3; kill += 1) {
    const sendAll = async (
      from: (text: string) => Promise<unknown>,
      who: string,
      count: number,
    ) => {
      for (let number = 1; number <= count; number += 1) await from(`${who} ${kill}.${number}`);
    };
    const typed = Promise.all([
      sendAll((text) => ann.send(text), "ann", pagePerKill),
      sendAll((text) => bob.send(text), "bob", pagePerKill),
    ]);
    const sent = sendAll(send, "other", otherPerKill);
    // The kill hits these messages on their way, before or after they are stored.
    await expect.poll(async () => (await log()).join()).toContain(`other ${kill}.2`);
    await server.kill();
    await typed;
    const away = `ann ${kill} while the server is away`;
    await ann.send(away);
    await expect(ann.waiting.last()).toHaveText(away);
    await server.startAgain();
    await sent;
    // Each page sends what it was given, after the server is back.
    const count = 3 + (2 * pagePerKill + otherPerKill + 1) * kill;
    await expect.poll(async () => (await log()).length, { timeout: 30_000 }).toBe(count);
  }
  const all = await log();
  expect(new Set(all).size).toBe(all.length);
  // Each sender's messages are in the order in which they were sent.
  for (const who of ["ann", "bob", "other"]) {
    const numbered = all.filter((text) => new RegExp(`^${who} \\d\\.`).test(text));
    expect(numbered).toEqual(numbered.toSorted(byNumber));
  }
  await ann.shows(all);
  await bob.shows(all);
  for (const page of [ann, bob]) {
    await expect(page.notice).toHaveCount(0);
    await expect(page.waiting).toHaveCount(0);
  }

  await restore([ann, bob], backup, all.slice(2));
  const after = ["other after the restore", "ann after the restore", "bob after the restore"];
  await send("other after the restore");
  await ann.send("ann after the restore");
  await bob.shows([...all.slice(0, 2), ...after.slice(0, 2)]);
  await bob.send("bob after the restore");
  await ann.shows([...all.slice(0, 2), ...after]);
  await bob.shows(await log());
  expect(await log()).toEqual([...all.slice(0, 2), ...after]);
  for (const page of [ann, bob]) await expect(page.waiting).toHaveCount(0);
});

test("Vite's proxy: the page uses its own origin", async ({ page }) => {
  await viteProject();
  await writeExample(project, "vite-proxy", server.host);
  const file = join(project.folder, "src/chat.js");
  const code = await readFile(file, "utf8");
  await writeFile(file, code.replace(`"${server.http}"`, '"/graphql"'));
  pages = await DevServer.start("vite", vite, project.folder);
  await chat(await ChatPage.open(page, pages.origin, "an invalid token"));
});

test("Next.js", async ({ page }) => {
  test.setTimeout(120_000);
  // Next.js follows no link out of its project. Below web/ it finds the packages without links.
  await mkdir(scratchFolder, { recursive: true });
  project = await Project.create([], ["client"], scratchFolder);
  await writeExample(project, "next", server.host);
  await project.write("next.config.mjs", nextConfiguration);
  pages = await DevServer.start("next", ["dev", "--port", "0"], project.folder);
  const chatPage = await ChatPage.open(page, pages.origin, "an invalid token");
  const backup = await backUp();
  await chat(chatPage);
  await restore([chatPage], backup, await log());
  await chatPage.send("after the restore");
  await chatPage.shows(["after the restore"]);
});

test("plain HTML", async ({ page }) => {
  project = await Project.create([], []);
  await writeExample(project, "html", server.host);
  pages = await DevServer.start(
    "python3",
    ["-m", "http.server", "0", "--bind", "127.0.0.1"],
    project.folder,
  );
  const chatPage = await ChatPage.open(page, `${pages.origin}/chat.html`, "an invalid token");
  const backup = await backUp();
  await chat(chatPage);
  // A proxy answers in place of the server. An EventSource takes this as final.
  await page.route("**/graphql?*", (route) => route.fulfill({ status: 502 }), { times: 1 });
  await server.kill();
  await chatPage.reaches("reconnecting");
  await server.startAgain();
  const send = await otherUser();
  await send("behind a proxy");
  await chatPage.shows(await log());
  await restore([chatPage], backup, await log());
  await chatPage.send("after the restore");
  await chatPage.shows(["after the restore"]);
});
