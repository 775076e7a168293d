import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { onEnd } from "./ending.ts";

const stopTimeoutMs = 10_000;

/** The line that the server prints when it is ready. */
export interface Ready {
  readonly address: string;
  readonly url: string;
  readonly webSocketUrl: string;
  readonly pid: number;
  readonly version: string;
}

/** A running server process. It ends with this process. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #release: () => void;
  #log = "";

  constructor(executable: string, flags: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(executable, flags, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    // Unlike "exit", "close" comes after the last line of the log.
    this.#exited = once(this.#child, "close").catch(() => undefined);
    this.#release = onEnd(() => void this.#child.kill("SIGKILL"));
  }

  /** What the server has logged. */
  get log(): string {
    return this.#log;
  }

  /** Waits until the server is ready. Rejects with the server's log if it does not start. */
  async ready(executable: string, timeoutMs: number): Promise<Ready> {
    const { stdout } = this.#child;
    if (!stdout) throw new Error("The server has no standard output.");
    const lines = createInterface(stdout);
    const failed = once(this.#child, "error").then(([error]: unknown[]) => {
      throw notStarted(executable, error as NodeJS.ErrnoException);
    });
    const ended = this.#exited.then(() => {
      throw new Error(`The server did not start: ${this.#log.trim()}`);
    });
    const timeout = AbortSignal.timeout(timeoutMs);
    const late = once(timeout, "abort").then(() => {
      throw new Error(`The server was not ready after ${timeoutMs} ms. ${this.#log.trim()}`);
    });
    for (const other of [failed, ended, late]) other.catch(() => undefined);
    try {
      const [line] = (await Promise.race([once(lines, "line"), failed, ended, late])) as [string];
      return JSON.parse(line) as Ready;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Sends SIGTERM, and SIGKILL if the server is still there after `stopTimeoutMs`. */
  async stop(): Promise<void> {
    const late = setTimeout(() => this.#child.kill("SIGKILL"), stopTimeoutMs);
    await this.end("SIGTERM");
    clearTimeout(late);
  }

  /** Sends a signal and waits for the server's end. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#release();
    if (this.#child.pid === undefined) return;
    this.#child.kill(signal);
    await this.#exited;
  }
}

function notStarted(executable: string, error: NodeJS.ErrnoException): Error {
  if (error.code !== "ENOENT") return error;
  return new Error(
    `There is no program ${executable}. Run "cargo install --locked --path ." in a clone of ` +
      "Switchboard, or set SWITCHBOARD_BIN to the path of the executable.",
  );
}
