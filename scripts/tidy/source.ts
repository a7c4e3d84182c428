import { parseSync } from "oxc-parser";

/** A node of the ESTree-shaped syntax tree; members beyond these follow from `type`. */
export interface Node {
  type: string;
  start: number;
  end: number;
  [member: string]: unknown;
}

export interface Comment {
  text: string;
  start: number;
  end: number;
  isDocblock: boolean;
}

export interface Import {
  specifier: string;
  line: number;
  isTypeOnly: boolean;
}

/** One file as the rules see it. `path` is from the root, with forward slashes. */
export interface Source {
  path: string;
  text: string;
  lines: readonly string[];
  /** Only of programs (.ts, .tsx, .mjs); null otherwise. */
  program: Node | null;
  comments: readonly Comment[];
  imports: readonly Import[];
  /** The 1-based line of an offset. */
  lineOf(offset: number): number;
}

export interface Finding {
  rule: string;
  path: string;
  line: number;
  message: string;
}

/** Whether a file is code that the parser reads. */
export const isProgram = (path: string): boolean => /\.(ts|tsx|mjs)$/.test(path);
/** Whether the test runner runs it. */
export const isTest = (path: string): boolean => /\.test\.tsx?$/.test(path);

/** Whether a file only serves tests: tests themselves, fixtures and the kernel's test support. */
export function servesTests(path: string): boolean {
  return (
    isTest(path) ||
    path.startsWith("tests/") ||
    /\/testing(\/|\.ts$|-)/.test(path) ||
    /(^|[/-])fixtures?(\/|\.ts$)/.test(path)
  );
}

/** Parses a file; throws with the file's name and line when its syntax is not valid. */
export function readSource(path: string, text: string): Source {
  const lines = text.split("\n");
  const starts: number[] = [0];
  for (const line of lines) starts.push((starts.at(-1) as number) + line.length + 1);
  const lineOf = (offset: number) => {
    let low = 0;
    let high = lines.length;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
  const source = { path, text, lines, lineOf };
  if (!isProgram(path)) return { ...source, program: null, comments: [], imports: [] };
  const parsed = parseSync(path, text);
  const [fault] = parsed.errors;
  if (fault) throw new Error(`${path}:${lineOf(fault.labels[0]?.start ?? 0)}: ${fault.message}`);
  const program = parsed.program as unknown as Node;
  const comments = parsed.comments.map(({ type, value, start, end }) => ({
    text: value,
    start,
    end,
    isDocblock: type === "Block" && value.startsWith("*"),
  }));
  return { ...source, program, comments, imports: findImports(program, lineOf) };
}

/** Whether a member of a node is a node itself. */
export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** Visits `node` and every node below it, parents first, with its ancestors (nearest last). */
export function walk(node: Node, visit: (node: Node, ancestors: readonly Node[]) => void): void {
  const ancestors: Node[] = [];
  const descend = (current: Node) => {
    visit(current, ancestors);
    ancestors.push(current);
    for (const member of Object.values(current)) {
      if (isNode(member)) descend(member);
      else if (Array.isArray(member)) for (const item of member) if (isNode(item)) descend(item);
    }
    ancestors.pop();
  };
  descend(node);
}

/** "a.b.c" for plain names and member accesses, else null. */
export function dottedName(node: unknown): string | null {
  if (!isNode(node)) return null;
  if (node.type === "Identifier") return node.name as string;
  if (node.type !== "MemberExpression" || node.computed) return null;
  const object = dottedName(node.object);
  return object === null ? null : `${object}.${(node.property as { name: string }).name}`;
}

/** The text of a string literal, else null. */
export function stringValue(node: unknown): string | null {
  if (!isNode(node) || node.type !== "Literal" || typeof node.value !== "string") return null;
  return node.value;
}

function isTypeOnlyImport(node: Node): boolean {
  if (node.importKind === "type" || node.exportKind === "type") return true;
  const specifiers = (node.specifiers ?? []) as Node[];
  const isType = (one: Node) => one.importKind === "type" || one.exportKind === "type";
  return specifiers.length > 0 && specifiers.every(isType);
}

/** Static and dynamic imports, re-exports, imported types and `new URL("./…", import.meta.url)`. */
function findImports(program: Node, lineOf: (offset: number) => number): Import[] {
  const imports: Import[] = [];
  const add = (node: Node, from: unknown, isTypeOnly: boolean) => {
    const specifier = stringValue(from);
    if (specifier !== null) imports.push({ specifier, line: lineOf(node.start), isTypeOnly });
  };
  walk(program, (node) => {
    switch (node.type) {
      case "ImportDeclaration":
      case "ExportNamedDeclaration":
      case "ExportAllDeclaration":
        add(node, node.source, isTypeOnlyImport(node));
        break;
      case "ImportExpression":
        add(node, node.source, false);
        break;
      case "TSImportType":
        add(node, node.source ?? node.argument, true);
        break;
      case "NewExpression":
        if (dottedName(node.callee) === "URL") add(node, (node.arguments as unknown[])[0], false);
        break;
    }
  });
  return imports;
}
