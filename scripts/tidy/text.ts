import { type Finding, isProgram, type Source, walk } from "./source.ts";

const fileLinesAtMost = 400;
const columnsAtMost = 100;

/** Files of more than 400 lines; programs and SQL alike. */
export function checkFileLength({ path, text, lines }: Source): Finding[] {
  const count = text.endsWith("\n") ? lines.length - 1 : lines.length;
  if (count <= fileLinesAtMost || !(isProgram(path) || path.endsWith(".sql"))) return [];
  const message = `${count} lines; at most ${fileLinesAtMost}: split it by what it does`;
  return [{ rule: "file-length", path, line: fileLinesAtMost + 1, message }];
}

/** Lines beyond 100 columns, unless they hold a URL or text over several lines (SQL, messages). */
export function checkColumns(source: Source): Finding[] {
  const { path, lines, program } = source;
  if (program === null) return [];
  const exempt = new Set<number>();
  walk(program, (node) => {
    if (node.type !== "TemplateLiteral") return;
    const [first, last] = [source.lineOf(node.start), source.lineOf(node.end)];
    for (let line = first; first < last && line <= last; line += 1) exempt.add(line);
  });
  return lines.flatMap((text, index) => {
    const columns = [...text].length;
    if (columns <= columnsAtMost || exempt.has(index + 1) || /https?:\/\//.test(text)) return [];
    const message = `${columns} columns; at most ${columnsAtMost}`;
    return [{ rule: "columns", path, line: index + 1, message }];
  });
}

/** Comments that put work off. */
export function checkPromises({ path, comments, lineOf }: Source): Finding[] {
  return comments.flatMap(({ text, start }) => {
    const word = /\b(TODO|FIXME|XXX|HACK)\b/.exec(text)?.[1];
    if (!word) return [];
    const message = `${word}: do it, or record the decision in decisions/`;
    return [{ rule: "put-off", path, line: lineOf(start), message }];
  });
}

/** Words that must not be published; matched without regard to case, wherever they stand. */
export function checkWords({ path, lines }: Source, words: readonly string[]): Finding[] {
  return lines.flatMap((text, index) => {
    const lower = text.toLowerCase();
    const found = words.find((word) => word !== "" && lower.includes(word.toLowerCase()));
    if (found === undefined) return [];
    return [{ rule: "word", path, line: index + 1, message: `"${found}" must not be published` }];
  });
}

/** A service's and the kernel's migrations: how they are called and what they begin with. */
export function checkMigration({ path, lines }: Source): Finding[] {
  if (!/^src\/.*\/migrations\//.test(path)) return [];
  const findings: Finding[] = [];
  const flag = (message: string) => findings.push({ rule: "migration", path, line: 1, message });
  if (!/\/\d{4}_[a-z0-9_]+\.sql$/.test(path)) flag("a migration is called 0001_what_it_does.sql");
  if (!/^-- scope: (platform|shared|dedicated|shared, dedicated)$/.test(lines[0] ?? "")) {
    flag("the first line says the scope: -- scope: platform, shared or dedicated");
  }
  return findings;
}

/** Two migrations of one folder with the same number would run in an order nobody chose. */
export function checkMigrationNumbers(sources: readonly Source[]): Finding[] {
  const seen = new Map<string, string>();
  return sources.flatMap(({ path }) => {
    const key = /^(src\/.*\/migrations\/\d{4})_/.exec(path)?.[1];
    if (!key) return [];
    const other = seen.get(key);
    seen.set(key, path);
    if (!other) return [];
    return [{ rule: "migration", path, line: 1, message: `has the same number as ${other}` }];
  });
}

/** Files that a service has one of. */
const singleFiles = ["service", "errors", "permissions", "events", "types"];
/** Files that list what a folder of the same name holds, in services of many areas. */
const listingFiles = ["routes", "jobs"];
/** Files in whose place a service of many areas has a folder, and nothing that lists it. */
const splitFiles = ["schemas", "changes", "rules", "store", "demo"];

/**
 * Folders that no file stands in for: a document's layout is not a rule, and never small; `formats`
 * read what others wrote down; `runtimes` speak to engines of others, `engines` are of several
 * kinds behind one interface, `connectors` read from other companies' servers, and an `engine`
 * brings about, step by step, what rows say is wanted; what `measure`s looks at files and keeps no
 * rows.
 */
const ownFolders = [
  "connectors",
  "documents",
  "engine",
  "engines",
  "formats",
  "measure",
  "runtimes",
];

const fileNames = [...singleFiles, ...listingFiles, ...splitFiles];
const folderNames = [...listingFiles, ...splitFiles, ...ownFolders];

/** Law 2: every service has the same file names. */
export function checkServiceNames({ path }: Source): Finding[] {
  const inside = /^src\/services\/[^/]+\/(.+)$/.exec(path)?.[1];
  if (!inside || /^(README\.md$|fixture\.ts$|(migrations|fixtures|assets)\/)/.test(inside))
    return [];
  const flag = (message: string) => [{ rule: "service-names", path, line: 1, message }];
  const place = /^(?:([a-z]+)\/)?([a-z0-9-]+)(\.test)?\.ts$/.exec(inside);
  if (!inside.endsWith(".ts")) return flag("belongs in fixtures/ or assets/");
  const [, folder, name = "", isTest] = place ?? [];
  const isAgreed = folder ? folderNames.includes(folder) : isTest || fileNames.includes(name);
  if (place && isAgreed) return [];
  const folders = folderNames.map((each) => `${each}/<area>.ts`).join(", ");
  return flag(`a service's files are called ${fileNames.join(".ts, ")}.ts, or ${folders}`);
}

/** What is split into areas has no second place: `store.ts` or `store/<area>.ts`, never both. */
export function checkServiceAreas(sources: readonly Source[]): Finding[] {
  const split = new Set<string>();
  for (const { path } of sources) {
    const folder = /^src\/services\/[^/]+\/[a-z]+(?=\/[^/]+(?<!\.test)\.ts$)/.exec(path)?.[0];
    if (folder) split.add(folder);
  }
  return sources.flatMap(({ path }) => {
    const folder = path.replace(/\.ts$/, "");
    const name = folder.slice(folder.lastIndexOf("/") + 1);
    if (!split.has(folder) || !splitFiles.includes(name)) return [];
    const message = `stands beside ${name}/: keep the file or the folder`;
    return [{ rule: "service-names", path, line: 1, message }];
  });
}
