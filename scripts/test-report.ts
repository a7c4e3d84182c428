import { relative, sep } from "node:path";

export interface SkippedTest {
  name: string;
  file: string | undefined;
  /** What the test said; `true` when it gave no reason. */
  reason: string | boolean;
}

/**
 * The files, sorted, that a person means: a file, a folder or a word in the path, each as seen from
 * the root; all when nothing is asked for.
 */
export function chooseFiles(all: readonly string[], wanted: readonly string[]): string[] {
  const words = wanted.map((word) => word.replace(/^\.\//, "").replaceAll(sep, "/"));
  const isWanted = (file: string) =>
    words.length === 0 || words.some((word) => file.includes(word));
  return all
    .map((file) => file.replaceAll(sep, "/"))
    .filter(isWanted)
    .sort();
}

/** A paragraph that names every skipped test with its reason; null when there is none. */
export function skippedReport(
  skipped: readonly SkippedTest[],
  root: string,
  mustRunAll: boolean,
): string | null {
  if (skipped.length === 0) return null;
  const lines = skipped.map(({ name, file, reason }) => {
    const where = file ? relative(root, file) : "?";
    const why = typeof reason === "string" && reason !== "" ? reason : "no reason given";
    return `  ${where}: ${name} (${why})`;
  });
  const verdict = mustRunAll ? ", and PLIMSOLL_REQUIRE_ALL=1 makes that a failure" : "";
  return `\nSkipped ${skipped.length}${verdict}:\n${lines.sort().join("\n")}\n\n`;
}
