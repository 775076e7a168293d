import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Recorder } from "../interop/recorder.ts";

/** A Node program that runs until it is stopped, and the lines that it prints. */
export class Program {
  readonly #child: ChildProcess;
  readonly #recorder = new Recorder<string>();
  #rest = "";
  /** What the program has written to stderr. */
  errors = "";

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#rest + text).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#recorder.next(line);
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.errors += text));
    this.#child.once("exit", () => {
      this.#recorder.error(new Error(`The program ended.\n${this.errors}`));
    });
  }

  get lines(): readonly string[] {
    return this.#recorder.seen;
  }

  /** Resolves when a line ends with `text`. */
  async printed(text: string): Promise<void> {
    await this.#recorder.until((seen) => seen.some((line) => line.endsWith(text)));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await exited;
  }
}
