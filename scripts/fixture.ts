import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** This repository. */
export const repository = fileURLToPath(new URL("..", import.meta.url));

/** A folder that is gone after the test, with the files given as path → text. */
export function temporaryFolder(t: TestContext, files: Record<string, string> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-start-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

/** The bootstrap in a folder of its own, over the packages that are installed here. */
export function temporaryCheckout(t: TestContext, files: Record<string, string>): string {
  const folder = temporaryFolder(t, files);
  for (const name of ["start", "bootstrap", "install", "install-lock", "node-flags", "tether"]) {
    cpSync(join(repository, "scripts", `${name}.mjs`), join(folder, "scripts", `${name}.mjs`));
  }
  cpSync(join(repository, "package-lock.json"), join(folder, "package-lock.json"));
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  return folder;
}
