import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { manualClock } from "../clock.ts";
import { seededRandom } from "../random.ts";
import { removeCluster, startEmbedded } from "./embedded.ts";
import { barrier, binaries, clusterHome, databaseUser, systemHome } from "./embedded-system.ts";
import { withClient } from "./roles.ts";

const random = seededRandom(manualClock(), 1);
const stranger = { uid: 54_321, gid: 54_321 };

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-system-"));
  chmodSync(folder, 0o755);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Something like the package of binaries, whose links an install script should have made. */
function makePackage(folder: string): { native: string; label: string } {
  const native = join(folder, "package", "native");
  for (const part of ["bin", "lib", "share/postgresql"]) {
    mkdirSync(join(native, part), { recursive: true });
  }
  writeFileSync(join(native, "bin/postgres"), "#!/bin/sh\necho works\n", { mode: 0o700 });
  writeFileSync(join(native, "share/postgresql/postgres.bki"), "# PostgreSQL 18\n", {
    mode: 0o600,
  });
  writeFileSync(join(native, "lib/libpq.so.5.18"), "library", { mode: 0o600 });
  writeFileSync(join(native, "lib/libpq.a"), "not needed to run");
  writeFileSync(
    join(native, "pg-symlinks.json"),
    JSON.stringify([{ source: "native/lib/libpq.so.5.18", target: "native/lib/libpq.so.5" }]),
  );
  return { native, label: "postgresql-18-test" };
}

// Guards against a start that fails deep in PostgreSQL because some folder above keeps it out.
test("the folder that keeps a user out is found, wherever on the path it is", (t) => {
  const folder = makeFolder(t);
  mkdirSync(join(folder, "closed", "inside"), { recursive: true });
  writeFileSync(join(folder, "closed", "inside", "file"), "");
  assert.equal(barrier(join(folder, "closed/inside/file"), stranger), null);
  chmodSync(join(folder, "closed"), 0o700);
  assert.equal(barrier(join(folder, "closed/inside/file"), stranger), join(folder, "closed"));
  const { uid, gid } = statSync(folder);
  assert.equal(barrier(join(folder, "closed/inside/file"), { uid, gid: 0 }), null, "its owner");
  chmodSync(join(folder, "closed"), 0o710);
  assert.equal(
    barrier(join(folder, "closed/inside/file"), { uid: 54_321, gid }),
    null,
    "its group",
  );
  chmodSync(join(folder, "closed"), 0o755);
  chmodSync(join(folder, "closed/inside/file"), 0o600);
  assert.equal(
    barrier(join(folder, "closed/inside/file"), stranger),
    join(folder, "closed/inside/file"),
  );
});

// Guards against a clone in /root, or npm without install scripts, that can't start PostgreSQL.
test("binaries that can't be reached, or lack their links, are copied once", (t) => {
  const folder = makeFolder(t);
  const copies = join(folder, "copies");
  const packaged = makePackage(folder);
  const bin = binaries(null, copies, random, packaged);
  assert.equal(bin, join(copies, "postgresql-18-test/native/bin"));
  assert.equal(readlinkSync(join(bin, "../lib/libpq.so.5")), "libpq.so.5.18");
  assert.equal(existsSync(join(bin, "../lib/libpq.a")), false, "40 MB are enough");
  assert.equal(spawnSync(join(bin, "postgres"), { encoding: "utf8" }).stdout, "works\n");
  assert.equal(binaries(null, copies, random, packaged), bin, "not copied again");

  symlinkSync("libpq.so.5.18", join(packaged.native, "lib/libpq.so.5"));
  assert.equal(binaries(null, copies, random, packaged), join(packaged.native, "bin"));
  const elsewhere = join(folder, "elsewhere");
  const other = { ...packaged, label: "again" };
  assert.equal(binaries(stranger, elsewhere, random, other), join(elsewhere, "again/native/bin"));
  for (const file of ["bin/postgres", "share/postgresql/postgres.bki", "lib/libpq.so.5"]) {
    assert.equal(barrier(join(elsewhere, "again/native", file), stranger), null);
  }
  chmodSync(elsewhere, 0o700);
  assert.throws(() => binaries(stranger, elsewhere, random, other), /can't get past .*elsewhere/);
});

// Guards against a database that moves or vanishes without a word.
test("a cluster lives in the data folder, or where a link there points", (t) => {
  const dataDir = join(makeFolder(t), "data");
  const place = join(dataDir, "postgres");
  assert.deepEqual(clusterHome(dataDir, null, random), {
    home: realpathSync(dataDir) + "/postgres",
    link: null,
  });
  const elsewhere = join(makeFolder(t), "cluster");
  mkdirSync(join(elsewhere, "data"), { recursive: true });
  symlinkSync(elsewhere, place);
  assert.deepEqual(clusterHome(dataDir, null, random), {
    home: realpathSync(elsewhere),
    link: null,
  });
  rmSync(elsewhere, { recursive: true });
  assert.throws(() => clusterHome(dataDir, null, random), /points to .*cluster, which is gone/);
});

// Guards against `git clone` into /root and `npm start` failing for want of a reachable folder.
test("as root, data in a folder closed to others lives below /var/lib/plimsoll", async (t) => {
  if (databaseUser() === null) return t.skip("needs root");
  const closed = makeFolder(t);
  chmodSync(closed, 0o700);
  const dataDir = join(closed, "data");
  t.after(() => removeCluster(dataDir));
  const first = await startEmbedded({ dataDir, settings: { fsync: "off" } });
  await withClient(first.ownerUrl, (client) => client.query("create table kept ()"));
  await first.stop();
  const link = join(dataDir, "postgres");
  assert(lstatSync(link).isSymbolicLink());
  assert(readlinkSync(link).startsWith(`${systemHome}/data-`));
  const again = await startEmbedded({ dataDir, settings: { fsync: "off" } });
  t.after(() => again.stop());
  await withClient(again.ownerUrl, (client) => client.query("select from kept"));
  await again.stop();
  const home = readlinkSync(link);
  await removeCluster(dataDir);
  assert.equal(existsSync(home), false);
});

// Guards against a data folder that is moved away only because it keeps its secrets to itself.
test("as root, a data folder of mode 0700 is opened for walking through, not for reading", (t) => {
  const user = databaseUser();
  if (user === null) return t.skip("needs root");
  const dataDir = join(makeFolder(t), "data");
  mkdirSync(dataDir, { mode: 0o700 });
  assert.deepEqual(clusterHome(dataDir, user, random), {
    home: join(realpathSync(dataDir), "postgres"),
    link: null,
  });
  assert.equal(statSync(dataDir).mode & 0o777, 0o711);
});
