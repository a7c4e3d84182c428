import { lintSource } from "@secretlint/core";
import { secretLintProfiler } from "@secretlint/profiler";
import { creator } from "@secretlint/secretlint-rule-preset-recommend";
import type { Secret } from "./types.ts";

const config = {
  rules: [{ id: "@secretlint/secretlint-rule-preset-recommend", rule: creator }],
};
// It keeps a record of every rule and file until the process ends: 2 GB after 100,000 files.
secretLintProfiler.setEnabled(false);

const secretsAtMost = 100;

/** Secrets in a text, by line and kind; the values themselves are kept nowhere. */
export async function findSecrets(path: string, content: string): Promise<Secret[]> {
  const { messages } = await lintSource({
    source: { filePath: `/${path}`, content, ext: "", contentType: "text" },
    options: { config, locale: "en", maskSecrets: true, noPhysicFilePath: true },
  });
  return messages.slice(0, secretsAtMost).map(({ loc, ruleId }) => ({
    line: loc.start.line,
    kind: ruleId.replace(/^.*secretlint-rule-/, ""),
  }));
}
