import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Endpoint, endpointAt } from "./endpoint.ts";

const webFolder = resolve(import.meta.dirname, "..");
const startWithinMs = 10_000;
const stopWithinMs = 10_000;
const endpointLine = /http:\/\/(127\.0\.0\.1):(\d+)\S*\/graphql/;

/**
 * The real executable with a temporary database. It can be stopped and started again with the same
 * port and data. `destroy` stops it and removes its files.
 */
export class Switchboard implements Endpoint {
  readonly #folder: string;
  readonly #flags: readonly string[];
  #child: ChildProcess | undefined;
  #log = "";
  #port = 0;

  private constructor(folder: string, flags: readonly string[]) {
    this.#folder = folder;
    this.#flags = flags;
  }

  static async start(flags: readonly string[] = []): Promise<Switchboard> {
    const server = new Switchboard(await mkdtemp(join(tmpdir(), "switchboard-web-")), flags);
    await server.startAgain();
    return server;
  }

  /** `host:port`; it does not change when the server restarts. */
  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get origin(): string {
    return `http://${this.host}`;
  }

  get port(): number {
    return this.#port;
  }

  get http(): string {
    return endpointAt(this.host).http;
  }

  get webSocket(): string {
    return endpointAt(this.host).webSocket;
  }

  /** The path of the database file. */
  get database(): string {
    return join(this.#folder, "test.db");
  }

  async startAgain(): Promise<void> {
    const child = spawn(
      executable(),
      [
        "serve",
        ...["--listen", `127.0.0.1:${this.#port}`],
        ...["--database", `sqlite://${this.database}`],
        "--no-rate-limits",
        ...this.#flags,
      ],
      { cwd: this.#folder, env: cleanEnvironment(), stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    this.#port = await this.#portFrom(child);
  }

  /** Sends SIGTERM to the server's process and waits for its exit. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || hasExited(child)) return;
    const exited = once(child, "exit", { signal: AbortSignal.timeout(stopWithinMs) });
    child.kill("SIGTERM");
    try {
      await exited;
    } catch {
      child.kill("SIGKILL");
      throw new Error(`The server did not stop within ${stopWithinMs} ms.\n${this.#log}`);
    }
  }

  /** Sends SIGKILL to the server's process, as `kill -9` does, and waits for its end. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || hasExited(child)) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async destroy(): Promise<void> {
    try {
      await this.stop();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  #portFrom(child: ChildProcess): Promise<number> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        child.kill("SIGKILL");
        reject(new Error(`The server ${why}.\nstdout:\n${output}\nstderr:\n${this.#log}`));
      };
      const timer = setTimeout(() => {
        fail(`named no endpoint within ${startWithinMs} ms`);
      }, startWithinMs);
      let output = "";
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const port = endpointLine.exec(output)?.[2];
        if (port === undefined) return;
        clearTimeout(timer);
        resolve(Number(port));
      });
      child.once("error", (error) => {
        clearTimeout(timer);
        fail(`could not be started: ${error.message}`);
      });
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        fail(`ended before it was ready (${signal ?? `exit code ${code ?? "unknown"}`})`);
      });
    });
  }
}

/**
 * The path of the executable. `SWITCHBOARD_BIN` is relative to `web/`, where npm runs scripts.
 * Without it, cargo's folder counts; `CARGO_TARGET_DIR` is relative to the repository.
 */
export function executable(): string {
  const target = resolve(webFolder, "..", process.env["CARGO_TARGET_DIR"] ?? "target");
  const built = join(target, "debug/switchboard");
  const path = resolve(webFolder, process.env["SWITCHBOARD_BIN"] ?? built);
  if (existsSync(path)) return path;
  throw new Error(`There is no server at ${path}: run \`cargo build\`, or set SWITCHBOARD_BIN.`);
}

/** The environment without the developer's own settings for the server. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !name.startsWith("SWITCHBOARD_") && name !== "DATABASE_URL",
    ),
  );
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
