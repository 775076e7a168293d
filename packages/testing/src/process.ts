import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

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
  readonly #end = (): void => void this.#child.kill("SIGKILL");
  #log = "";

  constructor(executable: string, flags: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(executable, flags, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    this.#exited = once(this.#child, "exit").catch(() => undefined);
    process.once("exit", this.#end);
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

  async stop(): Promise<void> {
    process.removeListener("exit", this.#end);
    if (this.#child.pid === undefined) return;
    this.#child.kill("SIGTERM");
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
