import {
  dottedName,
  type Finding,
  isNode,
  isTest,
  servesTests,
  type Node,
  type Source,
  stringValue,
  walk,
} from "./source.ts";

const functionLinesAtMost = 70;
const testLinesAtMost = 120;

const isFunction = (node: Node): boolean =>
  node.type === "FunctionDeclaration" ||
  node.type === "FunctionExpression" ||
  node.type === "ArrowFunctionExpression";

const isTestCall = (node: Node | undefined): boolean =>
  node?.type === "CallExpression" && /^(t\.)?(test|it)(\.|$)/.test(dottedName(node.callee) ?? "");

const isSuiteCall = (node: Node | undefined): boolean =>
  node?.type === "CallExpression" && /^(suite|describe)(\.|$)/.test(dottedName(node.callee) ?? "");

/** Functions of more than 70 lines, a test's of more than 120; a suite may fill its file. */
export function checkFunctionLength(source: Source): Finding[] {
  const findings: Finding[] = [];
  if (source.program === null) return findings;
  walk(source.program, (node, ancestors) => {
    if (!isFunction(node)) return;
    const caller = ancestors.at(-1);
    if (isTest(source.path) && isSuiteCall(caller)) return;
    const atMost =
      isTest(source.path) && isTestCall(caller) ? testLinesAtMost : functionLinesAtMost;
    const [first, last] = [source.lineOf(node.start), source.lineOf(node.end)];
    const count = last - first + 1;
    if (count <= atMost) return;
    const message = `a function of ${count} lines; at most ${atMost}`;
    findings.push({ rule: "function-length", path: source.path, line: first, message });
  });
  return findings;
}

/** Errors dropped without a word: an empty catch or `.catch(() => {})` that no comment explains. */
export function checkSwallowing(source: Source): Finding[] {
  const findings: Finding[] = [];
  if (source.program === null) return findings;
  const flag = (node: Node) => {
    const [first, last] = [source.lineOf(node.start), source.lineOf(node.end)];
    const explained = source.comments.some(
      ({ start }) => source.lineOf(start) >= first - 1 && source.lineOf(start) <= last,
    );
    if (explained) return;
    const message = "an error is dropped: handle it, or say in a comment why it may be";
    findings.push({ rule: "swallow", path: source.path, line: first, message });
  };
  walk(source.program, (node) => {
    if (node.type === "CatchClause" && isEmptyBlock(node.body)) flag(node);
    if (node.type !== "CallExpression" || !isNode(node.callee)) return;
    const { callee } = node;
    const isCatch =
      callee.type === "MemberExpression" && (callee.property as Node | null)?.name === "catch";
    const [handler] = node.arguments as unknown[];
    if (isCatch && isNode(handler) && isFunction(handler) && doesNothing(handler)) flag(handler);
  });
  return findings;
}

const isEmptyBlock = (node: unknown): boolean =>
  isNode(node) && node.type === "BlockStatement" && (node.body as unknown[]).length === 0;

function doesNothing({ body }: Node): boolean {
  if (isEmptyBlock(body)) return true;
  if (!isNode(body)) return false;
  return dottedName(body) === "undefined" || (body.type === "Literal" && body.value === null);
}

/** Tests that would run alone and silence the rest. */
export function checkOnly(source: Source): Finding[] {
  const findings: Finding[] = [];
  if (source.program === null || !isTest(source.path)) return findings;
  walk(source.program, (node) => {
    const isOnlyCall =
      node.type === "CallExpression" &&
      /^(test|it|suite|describe)\.only$/.test(dottedName(node.callee) ?? "");
    const isOnlyOption =
      node.type === "Property" &&
      (node.key as Node).name === "only" &&
      (node.value as Node).value === true;
    if (!isOnlyCall && !isOnlyOption) return;
    const line = source.lineOf(node.start);
    findings.push({ rule: "only", path: source.path, line, message: "silences every other test" });
  });
  return findings;
}

/** Re-exports hide which file is read; an import names it. */
export function checkBarrels(source: Source): Finding[] {
  const findings: Finding[] = [];
  if (source.program === null) return findings;
  const { path } = source;
  const flag = (line: number, message: string) =>
    findings.push({ rule: "barrel", path, line, message });
  if (/(^|\/)index\.tsx?$/.test(path)) flag(1, "name the file after what it does");
  for (const node of source.program.body as Node[]) {
    const isReExport = node.type === "ExportAllDeclaration" || isNode(node.source);
    if (!node.type.startsWith("Export") || !isReExport) continue;
    flag(source.lineOf(node.start), "import from the file that declares it");
  }
  return findings;
}

/** The kernel and the services speak through the logger. */
export function checkConsole(source: Source): Finding[] {
  const { path, program } = source;
  const findings: Finding[] = [];
  if (program === null || isTest(path) || !/^src\/(kernel|services)\//.test(path)) return findings;
  walk(program, (node) => {
    if (node.type !== "CallExpression" || !dottedName(node.callee)?.startsWith("console.")) return;
    const line = source.lineOf(node.start);
    findings.push({ rule: "console", path, line, message: "use the logger" });
  });
  return findings;
}

function exportedFunctions(program: Node): { node: Node; name: string }[] {
  return (program.body as Node[]).flatMap((node) => {
    if (node.type !== "ExportNamedDeclaration" || !isNode(node.declaration)) return [];
    const { declaration } = node;
    if (declaration.type === "FunctionDeclaration") {
      return [{ node, name: (declaration.id as Node).name as string }];
    }
    if (declaration.type !== "VariableDeclaration") return [];
    return (declaration.declarations as Node[])
      .filter(({ init }) => isNode(init) && isFunction(init))
      .map(({ id }) => ({ node, name: (id as Node).name as string }));
  });
}

/** Every exported function says what it takes, gives and refuses. Overloads need it once. */
export function checkDocblocks(source: Source): Finding[] {
  const { path, program, text, comments } = source;
  if (program === null || isTest(path)) return [];
  const documented = new Set<string>();
  return exportedFunctions(program).flatMap(({ node, name }) => {
    const isDocumented = comments.some(
      ({ isDocblock, end }) =>
        isDocblock && end <= node.start && text.slice(end, node.start).trim() === "",
    );
    if (isDocumented) documented.add(name);
    if (documented.has(name)) return [];
    const line = source.lineOf(node.start);
    return [{ rule: "docblock", path, line, message: `${name} is exported without a docblock` }];
  });
}

/** Law 2: a service's rules decide and do no I/O; what reads a format is handed its text. */
export function checkPureRules(source: Source): Finding[] {
  const { path, program, imports } = source;
  const findings: Finding[] = [];
  const isPure = isServices(path, "rules") || isServices(path, "formats");
  if (program === null || !isPure) return findings;
  const flag = (line: number, message: string) =>
    findings.push({ rule: "pure-rules", path, line, message });
  for (const { specifier, line, isTypeOnly } of imports) {
    if (isTypeOnly || !/^(node:(?!util$|assert)|pg$|undici$|redis$)/.test(specifier)) continue;
    flag(line, `${specifier}: a function that decides does no I/O`);
  }
  walk(program, (node) => {
    if (node.async === true) flag(source.lineOf(node.start), "a function that decides never waits");
  });
  return findings;
}

/** Whether it is a service's file of this name, or one of the areas in the folder of this name. */
const isServices = (path: string, name: string): boolean =>
  new RegExp(`^src/services/[^/]+/${name}(\\.ts|/[^/]+(?<!\\.test)\\.ts)$`).test(path);

const sqlStart = new RegExp(
  "^\\s*(select|insert\\s+into|delete\\s+from|merge\\s+into|" +
    'update\\s+[\\w."]+\\s+set|with\\s+(recursive\\s+)?\\w+\\s+as)\\s',
  "i",
);

/** Law 2: a service's SQL stands in its store. */
export function checkSqlInStore(source: Source): Finding[] {
  const { path, program } = source;
  const findings: Finding[] = [];
  if (program === null || servesTests(path) || !/^src\/(services|cli)\//.test(path))
    return findings;
  if (isServices(path, "store")) return findings;
  walk(program, (node) => {
    const text =
      node.type === "TemplateLiteral"
        ? ((node.quasis as { value: { raw: string } }[])[0]?.value.raw ?? "")
        : (stringValue(node) ?? "");
    if (!sqlStart.test(text)) return;
    const line = source.lineOf(node.start);
    findings.push({
      rule: "sql-in-store",
      path,
      line,
      message: "SQL belongs in store.ts, or store/<area>.ts",
    });
  });
  return findings;
}
