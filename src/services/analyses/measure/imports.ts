import { posix } from "node:path";
import type { LanguageName } from "./languages.ts";

const scriptImport =
  /(?:\bfrom|\bimport|\brequire\s*\(|\bimport\s*\(|\bnew\s+URL\s*\()\s*["']([^"'\n]{1,300})["']/g;
const typeImport = /^[ \t]*(?:import|export)\s+type\b[^;'"]{0,4000}["'][^"'\n]{1,300}["']/gm;
const pythonFrom = /^\s*from\s+([.\w]+)\s+import\s+\(?([\w\s,*]*)/;
const pythonImport = /^\s*import\s+([\w., ]+)/;
const importsAtMost = 2_000;

export interface Imports {
  imports: string[];
  typeImports: string[];
}

/** What a file imports, as written; what only types are imported of stands apart. */
export function importsOf(language: LanguageName | null, code: readonly string[]): Imports {
  if (language === "Python") {
    return { imports: code.flatMap(pythonImports).slice(0, importsAtMost), typeImports: [] };
  }
  if (!isScript(language)) return { imports: [], typeImports: [] };
  const text = code.join("\n");
  const types = [...text.matchAll(typeImport)].map(([found]) => found).join("\n");
  return { imports: specifiersIn(text.replace(typeImport, "")), typeImports: specifiersIn(types) };
}

const specifiersIn = (text: string): string[] =>
  [...text.matchAll(scriptImport)]
    .slice(0, importsAtMost)
    .map(([, specifier]) => specifier as string);

/** Whether the import graph knows the language. */
export const isScript = (language: LanguageName | null): boolean =>
  language === "TypeScript" || language === "TSX" || language === "JavaScript";

function pythonImports(line: string): string[] {
  const from = pythonFrom.exec(line);
  if (from) {
    const [, module = "", names = ""] = from;
    const each = names.split(",").map((name) => name.trim().split(/\s/)[0] ?? "");
    const inside = each.filter((name) => /^\w+$/.test(name));
    const joint = module.endsWith(".") ? "" : ".";
    return [module, ...inside.map((name) => `${module}${joint}${name}`)];
  }
  const plain = pythonImport.exec(line)?.[1];
  return plain ? plain.split(",").map((name) => name.trim().split(/\s/)[0] ?? "") : [];
}

export interface Importer {
  path: string;
  language: LanguageName | null;
  imports: readonly string[];
}

const endings = ["", ".ts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"];
const indexes = endings.slice(1).map((ending) => `/index${ending}`);

/** Which file imports which, by what the specifiers mean; packages are not in it. */
export function importGraph(
  files: readonly Importer[],
  aliases: ReadonlyMap<string, string>,
): Map<string, string[]> {
  const paths = new Set(files.map(({ path }) => path));
  const graph = new Map<string, string[]>();
  for (const { path, language, imports } of files) {
    if (language !== "Python" && !isScript(language)) continue;
    const resolve = language === "Python" ? resolvePython : resolveScript;
    const found = imports.map((each) => resolve(path, each, paths, aliases));
    const to = new Set(found.filter((each) => each !== null && each !== path) as string[]);
    graph.set(path, [...to]);
  }
  return graph;
}

function resolveScript(
  from: string,
  specifier: string,
  paths: ReadonlySet<string>,
  aliases: ReadonlyMap<string, string>,
): string | null {
  let target: string | null = null;
  if (specifier.startsWith(".")) target = posix.join(posix.dirname(from), specifier);
  for (const [prefix, folder] of aliases) {
    if (specifier.startsWith(prefix)) {
      target = posix.join(folder, specifier.slice(prefix.length));
    }
  }
  if (target === null) return null;
  const stem = target.replace(/\.(m|c)?jsx?$/, "");
  const candidates = [
    ...endings.map((ending) => target + ending),
    ...[".ts", ".tsx", ".mts", ".cts"].map((ending) => stem + ending),
    ...indexes.map((index) => target + index),
  ];
  return candidates.find((each) => paths.has(each)) ?? null;
}

function resolvePython(from: string, specifier: string, paths: ReadonlySet<string>): string | null {
  const dots = /^\.*/.exec(specifier)?.[0].length ?? 0;
  const inside = specifier.slice(dots).replaceAll(".", "/");
  let folder = posix.dirname(from);
  for (let up = 1; up < dots; up += 1) folder = posix.dirname(folder);
  const roots = dots > 0 ? [folder] : ["", "src", folder];
  for (const root of roots) {
    const target = posix.join(root === "." ? "" : root, inside);
    for (const each of [`${target}.py`, `${target}/__init__.py`]) if (paths.has(each)) return each;
  }
  return null;
}

/** `imports` of a package.json with a star ("#kernel/*": "./src/kernel/*") as prefix → folder. */
export function aliasesOf(packageJson: string): Map<string, string> {
  const aliases = new Map<string, string>();
  try {
    const { imports } = JSON.parse(packageJson) as { imports?: Record<string, unknown> };
    for (const [name, to] of Object.entries(imports ?? {})) {
      if (typeof to !== "string" || !name.endsWith("*") || !to.endsWith("*")) continue;
      aliases.set(name.slice(0, -1), posix.normalize(to.slice(0, -1)));
    }
  } catch (error) {
    // A package.json that is none has no aliases; the rule for syntax errors says so.
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  return aliases;
}

/**
 * Files that import each other in a circle: strongly connected components of more than one file
 * (Tarjan, "Depth-first search and linear graph algorithms", 1972), without recursion.
 */
export function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const cycles: string[][] = [];
  const open = (node: string) => {
    index.set(node, index.size);
    low.set(node, index.get(node) as number);
    stack.push(node);
    onStack.add(node);
    return { node, next: 0 };
  };
  const lower = (node: string, to: number) => low.set(node, Math.min(low.get(node) as number, to));
  for (const root of graph.keys()) {
    if (index.has(root)) continue;
    const calls = [open(root)];
    while (calls.length > 0) {
      const call = calls.at(-1) as { node: string; next: number };
      const to = graph.get(call.node)?.[call.next];
      call.next += 1;
      if (to !== undefined) {
        if (!index.has(to)) calls.push(open(to));
        else if (onStack.has(to)) lower(call.node, index.get(to) as number);
        continue;
      }
      calls.pop();
      const caller = calls.at(-1);
      if (caller) lower(caller.node, low.get(call.node) as number);
      if (low.get(call.node) !== index.get(call.node)) continue;
      const component = stack.splice(stack.lastIndexOf(call.node));
      for (const each of component) onStack.delete(each);
      if (component.length > 1) cycles.push(component.sort());
    }
  }
  return cycles.sort((a, b) => b.length - a.length || ((a[0] ?? "") < (b[0] ?? "") ? -1 : 1));
}
