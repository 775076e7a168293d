import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const packagesFolder = resolve(import.meta.dirname, "../../packages");
const installedFolder = resolve(import.meta.dirname, "../node_modules");
const run = promisify(execFile);

/**
 * A new project in a temporary folder, with our packages from their tarballs. Nothing is
 * downloaded: the other packages are links to those of `web/`.
 */
export class Project {
  readonly folder: string;
  tarballName = "";

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Installs the packages `ours` of `packages/`, and the packages `others`. */
  static async create(
    others: readonly string[],
    ours: readonly string[] = ["client"],
    parent = tmpdir(),
  ): Promise<Project> {
    const project = new Project(await mkdtemp(join(parent, "switchboard-project-")));
    await project.write("package.json", '{ "type": "module", "private": true }');
    for (const name of ours) await project.#pack(name);
    const tarballs = (await readdir(project.folder)).filter((name) => name.endsWith(".tgz"));
    const flags = [
      "--offline",
      "--legacy-peer-deps",
      "--no-audit",
      "--no-fund",
      "--no-package-lock",
    ];
    await run("npm", ["install", ...flags, ...tarballs.map((name) => `./${name}`)], {
      cwd: project.folder,
    });
    for (const name of others) await project.#link(name);
    return project;
  }

  /** Writes a file and returns its path. */
  async write(name: string, text: string): Promise<string> {
    const path = join(this.folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return path;
  }

  /** The files of the installed package, by their paths in it. */
  async installed(): Promise<string[]> {
    const folder = join(this.folder, "node_modules/@switchboard/client");
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return files.map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1));
  }

  async destroy(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Builds a package and packs it into the project's folder. */
  async #pack(name: string): Promise<void> {
    const cwd = join(packagesFolder, name);
    const { stdout } = await run("npm", ["pack", "--pack-destination", this.folder], { cwd });
    this.tarballName = stdout.trim().split("\n").at(-1) ?? "";
  }

  async #link(name: string): Promise<void> {
    const path = join(this.folder, "node_modules", name);
    await mkdir(resolve(path, ".."), { recursive: true });
    await symlink(join(installedFolder, name), path);
  }
}
