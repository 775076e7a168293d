import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Endpoint, endpointAt } from "./endpoint.ts";

const startWithinMs = 10_000;
// nginx logs this once the listening sockets are open.
const readyLine = "event method";

/**
 * The settings that nginx's manual requires for WebSockets. Without them nginx speaks HTTP/1.0 to
 * the server, and buffers an answer until a buffer is full unless the answer forbids it.
 */
const forWebSockets = `
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;`;

/**
 * `bare` is a `proxy_pass` without the settings for WebSockets. `below a path` serves the server
 * below `/chat` and passes the whole path on, and below `/cut` without this prefix.
 */
export type Setup = "bare" | "for WebSockets" | "below a path";

/**
 * A real nginx in front of the server, with default settings: it buffers answers, and it closes a
 * connection on which the server has sent nothing for a minute. It runs as the user who runs the
 * tests, in a temporary folder.
 */
export class Nginx implements Endpoint {
  readonly http: string;
  readonly webSocket: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number) {
    const { http, webSocket } = endpointAt(`127.0.0.1:${port}`);
    this.http = http;
    this.webSocket = webSocket;
    this.#folder = folder;
    this.#child = spawn("nginx", ["-p", folder, "-c", "nginx.conf", "-e", "stderr"], {
      // Debian installs nginx in a folder that only root has in PATH.
      env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` },
      stdio: ["ignore", "ignore", "pipe"],
    });
  }

  static async start(targetPort: number, setup: Setup): Promise<Nginx> {
    const folder = await mkdtemp(join(tmpdir(), "switchboard-nginx-"));
    const port = await freePort();
    await writeFile(join(folder, "nginx.conf"), configuration(port, targetPort, setup));
    const nginx = new Nginx(folder, port);
    try {
      await nginx.#ready();
    } catch (error) {
      await nginx.stop();
      throw error;
    }
    return nginx;
  }

  /** The log lines of the requests that have ended. A stream that is still open has no line. */
  async ended(): Promise<string[]> {
    const log = await readFile(join(this.#folder, "access.log"), "utf8");
    return log.split("\n").filter((line) => line !== "");
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      let log = "";
      const fail = (why: string) => {
        clearTimeout(timer);
        reject(new Error(`nginx ${why}; scripts/setup.sh fetches it.\n${log}`));
      };
      const timer = setTimeout(() => {
        fail(`was not ready within ${startWithinMs} ms`);
      }, startWithinMs);
      this.#child.once("error", ({ message }) => {
        fail(`could not be started: ${message}`);
      });
      this.#child.once("exit", () => {
        fail("ended before it was ready");
      });
      this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        log += text;
        if (!log.includes(readyLine)) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** A free port, because nginx cannot choose one itself. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const closed = once(server, "close");
  server.close();
  await closed;
  return port;
}

function configuration(port: number, targetPort: number, setup: Setup): string {
  // The paths keep nginx inside its folder. One foreground process is easy to stop.
  return `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {}
http {
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  access_log access.log;

  map $http_upgrade $connection_upgrade {
    default upgrade;
    '' close;
  }
  server {
    listen 127.0.0.1:${port};
    proxy_set_header Host $http_host;
    proxy_read_timeout 60s;${setup === "bare" ? "" : forWebSockets}
    ${locations(`http://127.0.0.1:${targetPort}`, setup)}
  }
}
`;
}

function locations(target: string, setup: Setup): string {
  if (setup !== "below a path") return `location / { proxy_pass ${target}; }`;
  return `
    location /chat/ { proxy_pass ${target}; }
    location /cut/ { proxy_pass ${target}/; }`;
}
