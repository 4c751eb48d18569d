/**
 * A PostgreSQL server of its own for a test, in a directory below the system's temporary one, reached by a socket there. It ends with this process,
 * however that ends. Its data are not flushed: tests kill it, and not the machine.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const DEBIAN_HOME = "/usr/lib/postgresql";
const READY_TRIES_MAX = 400;
const READY_TRY_MS = 25;

/** Where to connect to. */
export interface PostgresAddress {
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

/** The directory with `initdb` and `postgres`, or null. */
function binaries(): string | null {
  const versions = existsSync(DEBIAN_HOME) ? readdirSync(DEBIAN_HOME).sort((a, b) => Number(b) - Number(a)) : [];
  const directories = [...versions.map((version) => join(DEBIAN_HOME, version, "bin"))];
  return directories.find((bin) => existsSync(join(bin, "initdb")) && existsSync(join(bin, "postgres"))) ?? null;
}

/** Why there can be no server here, or null. */
export function postgresProblem(): string | null {
  if (binaries() === null) return `no PostgreSQL server below ${DEBIAN_HOME}`;
  return spawnSync("setpriv", ["--version"]).status === 0 ? null : "setpriv is not installed";
}

/** As whom it runs, for it refuses root. */
function owner(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const idOf = (user: string, flag: string): number => {
    const { status, stdout } = spawnSync("id", [flag, user], { encoding: "utf8" });
    return status === 0 ? Number(stdout) : Number.NaN;
  };
  const user = ["postgres", "nobody"].find((name) => !Number.isNaN(idOf(name, "-u"))) ?? "nobody";
  return { uid: idOf(user, "-u"), gid: idOf(user, "-g") };
}

export class PostgresServer {
  readonly address: PostgresAddress;
  readonly #bin: string;
  readonly #directory: string;
  readonly #owner = owner();
  readonly #remove = (): void => rmSync(this.#directory, { recursive: true, force: true });
  #server: ChildProcess | null = null;

  /** Makes an empty database; `start` is still to be called. */
  constructor() {
    const bin = binaries();
    if (bin === null) throw new Error("there is no PostgreSQL server here");
    this.#bin = bin;
    // Short, for it is the path of a socket, and not below a directory of root's.
    this.#directory = mkdtempSync(join(tmpdir(), "varve-pg-"));
    process.on("exit", this.#remove);
    if (this.#owner !== null) chownSync(this.#directory, this.#owner.uid, this.#owner.gid);
    chmodSync(this.#directory, 0o700);
    this.address = { host: this.#directory, user: "varve", database: "postgres" };
    const settings = ["--username=varve", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
    const { status, stderr } = spawnSync(
      "setpriv",
      [...[...this.#asOwner(), "--", join(bin, "initdb"), ...settings, "--pgdata", join(this.#directory, "data")]],
      { encoding: "utf8", cwd: this.#directory },
    );
    if (status !== 0) throw new Error(`initdb: ${stderr}`);
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const settings = {
      fsync: "off",
      listen_addresses: "",
      unix_socket_directories: this.#directory,
      max_connections: 20,
    };
    const server = spawn(
      "setpriv",
      [
        // Its processes end with the first of them, and that one with us.
        ...["--pdeathsig", "QUIT", ...this.#asOwner(), "--", join(this.#bin, "postgres")],
        ...["-D", join(this.#directory, "data")],
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      { stdio: "ignore", cwd: this.#directory },
    );
    this.#server = server;
    for (let tries = 0; tries < READY_TRIES_MAX; tries += 1) {
      const { host, user } = this.address;
      if (spawnSync(join(this.#bin, "pg_isready"), ["-h", host, "-U", user, "-q"]).status === 0) return;
      if (server.exitCode !== null) throw new Error(`the PostgreSQL server ended with ${server.exitCode}`);
      await delay(READY_TRY_MS);
    }
    throw new Error("the PostgreSQL server does not come up");
  }

  /** An empty database of that name. */
  makeDatabase(database: string): PostgresAddress {
    const { host, user } = this.address;
    const { status, stderr } = spawnSync(join(this.#bin, "createdb"), ["-h", host, "-U", user, database], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`createdb: ${stderr}`);
    return { host, user, database };
  }

  /** Ends it there and then, in the middle of what it does. */
  async crash(): Promise<void> {
    await this.#end("SIGQUIT");
  }

  /** Ends it, and removes what it has. */
  async remove(): Promise<void> {
    await this.#end("SIGINT");
    process.off("exit", this.#remove);
    this.#remove();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null || server.exitCode !== null) return;
    const exit = new Promise<void>((resolve) => server.once("exit", () => resolve()));
    server.kill(signal);
    await exit;
  }

  #asOwner(): readonly string[] {
    if (this.#owner === null) return [];
    const { uid, gid } = this.#owner;
    return ["--reuid", String(uid), "--regid", String(gid), "--clear-groups"];
  }
}
