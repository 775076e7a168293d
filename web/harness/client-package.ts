import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const packageFolder = resolve(import.meta.dirname, "../../packages/client");
const installedFolder = resolve(import.meta.dirname, "../node_modules");
const run = promisify(execFile);

/**
 * A new project in a temporary folder, with the client package from its tarball. Nothing is
 * downloaded: the other packages are links to those of `web/`.
 */
export class Project {
  readonly folder: string;
  tarballName = "";

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(others: readonly string[]): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), "switchboard-project-")));
    await project.write("package.json", '{ "type": "module", "private": true }');
    await project.#pack();
    await run(
      "npm",
      [
        "install",
        "--offline",
        "--legacy-peer-deps",
        "--no-audit",
        "--no-fund",
        `./${project.tarballName}`,
      ],
      { cwd: project.folder },
    );
    for (const name of others) await project.#link(name);
    return project;
  }

  /** Writes a file and returns its path. */
  async write(name: string, text: string): Promise<string> {
    const path = join(this.folder, name);
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

  /** Builds the package and packs it into the project's folder. */
  async #pack(): Promise<void> {
    await run("npm", ["pack", "--pack-destination", this.folder], { cwd: packageFolder });
    const tarball = (await readdir(this.folder)).find((name) => name.endsWith(".tgz"));
    if (tarball === undefined) throw new Error("npm pack wrote no tarball.");
    this.tarballName = tarball;
  }

  async #link(name: string): Promise<void> {
    const path = join(this.folder, "node_modules", name);
    await mkdir(resolve(path, ".."), { recursive: true });
    await symlink(join(installedFolder, name), path);
  }
}
