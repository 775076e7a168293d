import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onEnd } from "./ending.ts";
import { type Ready, ServerProcess } from "./process.ts";
import type { StartOptions } from "./server.ts";

const startTimeoutMs = 10_000;
// A server that was killed can create a file while its folder is being removed.
const removalTriesMax = 5;

/**
 * Starts the processes of one test server, one after the other, with the same seed, the same port
 * and, if `persistent` is set, the same database.
 */
export class Launcher {
  readonly #options: StartOptions;
  readonly #folder: string;
  readonly #release: () => void;
  #process: ServerProcess | undefined;
  #ready: Ready | undefined;
  #log = "";

  private constructor(options: StartOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#release = onEnd(() => {
      rmSync(folder, { recursive: true, force: true, maxRetries: removalTriesMax });
    });
  }

  /** Writes the seed and starts the first process. Removes all files if it does not start. */
  static async start(options: StartOptions): Promise<Launcher> {
    const folder = await mkdtemp(join(tmpdir(), "switchboard-test-"));
    const launcher = new Launcher(options, folder);
    try {
      await writeFile(join(folder, "seed.json"), JSON.stringify(options.seed ?? {}));
      await launcher.launch();
      return launcher;
    } catch (error) {
      await launcher.remove();
      throw error;
    }
  }

  /** What the process has printed that runs, or that ran last. */
  get ready(): Ready {
    if (!this.#ready) throw new Error("The server has not started.");
    return this.#ready;
  }

  /** What all processes have logged. */
  get log(): string {
    return this.#log + (this.#process?.log ?? "");
  }

  async launch(): Promise<void> {
    const { executable = process.env["SWITCHBOARD_BIN"] ?? "switchboard" } = this.#options;
    // The server makes its temporary database in TMPDIR, so it is removed after a kill, too.
    const env = { ...inherited(), TMPDIR: this.#folder, ...this.#options.env };
    const started = new ServerProcess(executable, this.#flags(), env);
    const timeoutMs = this.#options.startTimeoutMs ?? startTimeoutMs;
    this.#ready = await started.ready(executable, timeoutMs);
    this.#process = started;
  }

  /** Ends the process, if one runs. SIGTERM lets it finish; SIGKILL is a crash. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const running = this.#process;
    if (!running) return;
    await (signal === "SIGTERM" ? running.stop() : running.end(signal));
    this.#log += running.log;
    this.#process = undefined;
  }

  /** Removes the seed and what is left of the database. */
  async remove(): Promise<void> {
    this.#release();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #flags(): string[] {
    const { persistent = false, testClock = true, flags = [] } = this.#options;
    const listen = this.#ready?.address ?? "0";
    const database = persistent ? ["--database", join(this.#folder, "test.db")] : ["--ephemeral"];
    const common = ["serve", "--print-json", "--no-rate-limits", "--listen", listen, ...database];
    const clock = testClock ? ["--test-clock"] : [];
    return [...common, ...clock, "--seed", join(this.#folder, "seed.json"), ...flags];
  }
}

/** The environment of this process without the developer's own settings for a server. */
function inherited(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("SWITCHBOARD_") && name !== "DATABASE_URL",
  );
  return Object.fromEntries(entries);
}
