import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, type Page } from "@playwright/test";
import type { Project } from "../harness/client-package.ts";
import { exampleHost, filesOf } from "../harness/examples.ts";

const documentPath = resolve(import.meta.dirname, "../../docs/FRONTEND.md");
const binFolder = resolve(import.meta.dirname, "../node_modules/.bin");
const startWithinMs = 60_000;
const showWithinMs = 30_000;
const addressLine = /http:\/\/(?:localhost|127\.0\.0\.1):(\d+)/;

/** Writes the files of a folder of docs/FRONTEND.md. Only the server's address is replaced. */
export async function writeExample(project: Project, folder: string, host: string): Promise<void> {
  const document = await readFile(documentPath, "utf8");
  for (const [path, code] of filesOf(document, folder)) {
    await project.write(path, code.replaceAll(exampleHost, host));
  }
}

/** A development server that serves the pages of a project. */
export class DevServer {
  readonly #child: ChildProcess;
  origin = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(program: string, flags: readonly string[], cwd: string): Promise<DevServer> {
    const inBin = program.includes("/") || program === "python3";
    const child = spawn(inBin ? program : join(binFolder, program), flags, {
      cwd,
      env: { ...process.env, NO_COLOR: "1", NEXT_TELEMETRY_DISABLED: "1", PYTHONUNBUFFERED: "1" },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own: some of these programs start others.
      detached: true,
    });
    const server = new DevServer(child);
    server.origin = await originFrom(child);
    return server;
  }

  async stop(): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null) return;
    const exited = once(this.#child, "exit");
    process.kill(-this.#child.pid, "SIGKILL");
    await exited;
  }
}

function originFrom(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => {
      reject(new Error(`The development server named no address.\n${output}`));
    }, startWithinMs);
    const read = (text: string) => {
      output += text;
      const port = addressLine.exec(output)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(`http://localhost:${port}`);
    };
    child.stdout?.setEncoding("utf8").on("data", read);
    child.stderr?.setEncoding("utf8").on("data", read);
    child.once("exit", () => {
      clearTimeout(timer);
      reject(new Error(`The development server ended.\n${output}`));
    });
  });
}

/** Runs in the page: notes each text that the list shows twice at one moment. */
function watchForRepeats(): void {
  const repeated: string[] = [];
  Object.assign(window, { repeated });
  new MutationObserver(() => {
    const spans = [...document.querySelectorAll("main > ul > li > span")];
    const texts = spans.map((span) => span.textContent);
    repeated.push(...texts.filter((text, index) => texts.indexOf(text) !== index));
  }).observe(document, { childList: true, subtree: true, characterData: true });
}

/** A page of the examples: a status, a list of messages and a form. */
export class ChatPage {
  private constructor(readonly page: Page) {}

  /** Opens the page. A token that is invalid makes it sign a new guest in. */
  static async open(page: Page, url: string, token?: string): Promise<ChatPage> {
    await page.addInitScript(watchForRepeats);
    if (token !== undefined) {
      await page.addInitScript((kept) => {
        if (!localStorage.getItem("token")) localStorage.setItem("token", kept);
      }, token);
    }
    await page.goto(url);
    const chat = new ChatPage(page);
    await chat.reaches("live");
    return chat;
  }

  async reaches(status: string): Promise<void> {
    await expect(this.page.getByRole("status")).toHaveText(status, { timeout: showWithinMs });
  }

  async send(text: string): Promise<void> {
    await this.page.getByLabel("Message").fill(text);
    await this.page.getByRole("button", { name: "Send", exact: true }).click();
  }

  /** The texts of the messages in the room, in their order. */
  async texts(): Promise<string[]> {
    return this.page.locator("main > ul > li:not(.waiting) > span").allInnerTexts();
  }

  /** The texts that the server has not stored yet. */
  get waiting() {
    return this.page.locator("main > ul > li.waiting > span");
  }

  /** The texts that the page showed, and that the server no longer has. */
  get gone() {
    return this.notice.locator("del");
  }

  /** Waits until the page shows exactly these messages, and checks that it never repeated one. */
  async shows(expected: readonly string[]): Promise<void> {
    await expect.poll(() => this.texts(), { timeout: showWithinMs }).toEqual(expected);
    expect(await this.page.evaluate("repeated")).toEqual([]);
  }

  /** What the page says about something that is missing. */
  get notice() {
    // Next.js has an alert of its own outside `main`.
    return this.page.getByRole("main").getByRole("alert");
  }
}
