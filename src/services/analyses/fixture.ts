import { execFileSync } from "node:child_process";
import { mkdtemp, mkdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { analyseFolder, type AnalyseOptions } from "./measure/analyse.ts";

/** Where Git is, on the machines that tests run on. */
const usualPath = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin";

/** A new folder with these files, gone after the test. */
export async function folderWith(
  t: TestContext,
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "plimsoll-analyses-")));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return folder;
}

/** Analyses as the command line does. */
export const analyse = (folder: string, options: Partial<AnalyseOptions> = {}) =>
  analyseFolder(folder, { path: usualPath, ...options });

/** Commits everything in a folder, under a name of its own. */
export function commitAll(folder: string, message: string): void {
  const git = (...args: string[]) =>
    execFileSync(
      "git",
      ["-c", "user.name=Tester", "-c", "user.email=tester@plimsoll.test", ...args],
      {
        cwd: folder,
        stdio: "ignore",
        env: { PATH: usualPath, GIT_CONFIG_GLOBAL: "/dev/null" },
      },
    );
  git("init", "--quiet");
  git("add", "--all");
  git("commit", "--quiet", "--message", message);
}

/** What must not stand in the tree as it is: it is put together here. */
const builtHere: Readonly<Record<string, string>> = {
  "github-token": ["gh", "p_", "a1B2".repeat(9)].join(""),
  rlo: String.fromCharCode(0x202e),
  conflict: `${"<".repeat(7)} ours\na();\n${"=".repeat(7)}\nb();\n${">".repeat(7)} theirs`,
  todo: ["TO", "DO"].join(""),
  lines: "run();\n".repeat(1_001),
};

/** The good and the bad folder of a rule, as its fixture describes them: `-- bad/path --`, text. */
export async function ruleFixture(ruleId: string): Promise<Record<"good" | "bad", Files>> {
  const url = new URL(`./fixtures/rules/${ruleId}.txtar`, import.meta.url);
  const text = await readFile(url, "utf8");
  const found = { good: {} as Files, bad: {} as Files };
  const parts = text.split(/^-- (good|bad)\/(.+) --\n/m).slice(1);
  for (let at = 0; at < parts.length; at += 3) {
    const [kind, path, content] = parts.slice(at, at + 3) as ["good" | "bad", string, string];
    found[kind][path] = content.replace(/\{\{([a-z-]+)\}\}/g, (_, name: string) => {
      return builtHere[name] ?? `{{${name}}}`;
    });
  }
  return found;
}

type Files = Record<string, string>;
