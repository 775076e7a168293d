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
  await server.startAgain();
  await send("after the kill");
  await page.shows(["from another", "from the page", "after the kill"]);
  await page.reaches("live");
}

test("Vite, React and Apollo Client: two pages, three kills, and a restored backup", async ({
  browser,
}) => {
  test.setTimeout(120_000);
  await viteProject();
  pages = await DevServer.start("vite", vite, project.folder);
  const { origin } = pages;
  const open = async () => ChatPage.open(await (await browser.newContext()).newPage(), origin);
  const [ann, bob] = [await open(), await open()];
  const send = await otherUser();
  await send("before the backup");
  const backup = join(project.folder, "backup.db");
  await run(executable(), ["backup", backup, "--database", `sqlite://${server.database}`]);

  for (let kill = 1; kill <= 3; kill += 1) {
    const sent = [send(`other ${kill}a`)];
    // The kill hits these messages on their way, before or after they are stored.
    await Promise.all([ann.send(`ann ${kill}`), bob.send(`bob ${kill}`)]);
    await server.kill();
    sent.push(send(`other ${kill}b`));
    await ann.send(`ann ${kill} while the server is away`);
    await server.startAgain();
    await Promise.all(sent);
    // Each page sends what it was given, after the server is back.
    await expect.poll(async () => (await log()).length, { timeout: 30_000 }).toBe(1 + 5 * kill);
  }
  const all = await log();
  expect(new Set(all).size).toBe(all.length);
  await ann.shows(all);
  await bob.shows(all);
  await expect(ann.notice).toHaveCount(0);

  await server.stop();
  await run(executable(), ["restore", backup, "--database", `sqlite://${server.database}`]);
  await server.startAgain();
  for (const page of [ann, bob]) {
    await expect(page.notice).toContainText("restored from a backup", { timeout: 30_000 });
    await page.shows(["before the backup"]);
  }
  await ann.send("after the restore");
  await ann.shows(["before the backup", "after the restore"]);
  await bob.shows(["before the backup", "after the restore"]);
  expect(await log()).toEqual(["before the backup", "after the restore"]);
});

test("Vite's proxy: the page uses its own origin", async ({ page }) => {
  await viteProject();
  await writeExample(project, "vite-proxy", server.host);
  const file = join(project.folder, "src/chat.js");
  const code = await readFile(file, "utf8");
  await writeFile(file, code.replace(`"${server.http}"`, '"/graphql"'));
  pages = await DevServer.start("vite", vite, project.folder);
  await chat(await ChatPage.open(page, pages.origin));
});

test("Next.js", async ({ page }) => {
  test.setTimeout(120_000);
  // Next.js follows no link out of its project. Below web/ it finds the packages without links.
  await mkdir(scratchFolder, { recursive: true });
  project = await Project.create([], ["client"], scratchFolder);
  await writeExample(project, "next", server.host);
  const layout = `export default function RootLayout({ children }) {
    return <html lang="en"><body>{children}</body></html>;
  }`;
  await project.write("app/layout.js", layout);
  pages = await DevServer.start("next", ["dev", "--port", "0"], project.folder);
  await chat(await ChatPage.open(page, pages.origin));
});

test("plain HTML", async ({ page }) => {
  project = await Project.create([], []);
  await writeExample(project, "html", server.host);
  pages = await DevServer.start(
    "python3",
    ["-m", "http.server", "0", "--bind", "127.0.0.1"],
    project.folder,
  );
  await chat(await ChatPage.open(page, `${pages.origin}/chat.html`));
});
