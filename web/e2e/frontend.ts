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

/** A page of the examples: a status, a list of messages and a form. */
export class ChatPage {
  private constructor(readonly page: Page) {}

  static async open(page: Page, url: string): Promise<ChatPage> {
    await page.goto(url);
    const chat = new ChatPage(page);
    await chat.reaches("live");
    return chat;
  }

  async reaches(status: string): Promise<void> {
    await expect(this.page.getByRole("status")).toHaveText(status, { timeout: 30_000 });
  }

  async send(text: string): Promise<void> {
    await this.page.getByLabel("Message").fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  /** The texts of the messages on the page, in their order. */
  async texts(): Promise<string[]> {
    const items = await this.page.locator("main li").allInnerTexts();
    return items.map((item) => item.replace(/^\S+:? /, ""));
  }

  /** Waits until the page shows exactly these messages. */
  async shows(expected: readonly string[]): Promise<void> {
    await expect.poll(() => this.texts(), { timeout: 30_000 }).toEqual(expected);
  }

  /** What the page says about something that is missing. */
  get notice() {
    return this.page.getByRole("alert");
  }
}
