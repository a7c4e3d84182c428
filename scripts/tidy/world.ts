import {
  dottedName,
  type Finding,
  isNode,
  isTest,
  type Node,
  type Source,
  walk,
} from "./source.ts";

const environmentReaders =
  /^(src\/main\.ts$|src\/cli\/|src\/kernel\/testing(\/|\.ts$|-)|scripts\/|tests\/|bench\/|chaos\/)/;

/** The environment is read in one place, so that a fault in it can be named in one place. */
export function checkEnvironment(source: Source): Finding[] {
  const { path, program, imports } = source;
  const findings: Finding[] = [];
  if (program === null || isTest(path) || environmentReaders.test(path)) return findings;
  const flag = (line: number, message: string) =>
    findings.push({ rule: "environment", path, line, message });
  for (const { specifier, line, isTypeOnly } of imports) {
    if (!isTypeOnly && /^(node:)?process$/.test(specifier))
      flag(line, "take what you need as an argument");
  }
  walk(program, (node) => {
    const readsMember = node.type === "MemberExpression" && dottedName(node) === "process.env";
    const destructures =
      node.type === "VariableDeclarator" &&
      dottedName(node.init) === "process" &&
      isNode(node.id) &&
      node.id.type === "ObjectPattern";
    if (readsMember || destructures) {
      flag(source.lineOf(node.start), "only main.ts reads the environment; take a config");
    }
  });
  return findings;
}

const clockFile = "src/kernel/clock.ts";
const randomFile = "src/kernel/random.ts";
const randomNames = new Set([
  "Math.random",
  "randomUUID",
  "crypto.randomUUID",
  "randomBytes",
  "crypto.randomBytes",
  "randomInt",
  "crypto.randomInt",
  "crypto.getRandomValues",
]);

const callOf = (node: Node): string | null =>
  node.type === "CallExpression" ? dottedName(node.callee) : null;

/** Time comes from the clock and chance from the random source, so that tests can hold both. */
export function checkClockAndChance(source: Source): Finding[] {
  const { path, program } = source;
  const findings: Finding[] = [];
  if (program === null || !path.startsWith("src/")) return findings;
  const isSupport = isTest(path) || /^src\/kernel\/testing(\/|\.ts$|-)/.test(path);
  if (isSupport) return findings;
  const flag = (node: Node, rule: string, message: string) =>
    findings.push({ rule, path, line: source.lineOf(node.start), message });
  walk(program, (node) => {
    const called = callOf(node) ?? "";
    const isNow =
      called === "Date.now" ||
      (node.type === "NewExpression" &&
        dottedName(node.callee) === "Date" &&
        (node.arguments as unknown[]).length === 0);
    if (isNow && path !== clockFile) flag(node, "clock", "ask the clock for the time");
    if (randomNames.has(called) && path !== randomFile) {
      flag(node, "chance", `${called}: ask the random source`);
    }
    if (path !== clockFile && isSleep(node)) flag(node, "sleep", "sleep on the clock");
  });
  return findings;
}

/** `new Promise((resolve) => setTimeout(resolve, …))`, or importing the promised setTimeout. */
function isSleep(node: Node): boolean {
  if (node.type === "ImportDeclaration") {
    const from = (node.source as Node).value;
    const names = (node.specifiers as Node[]).map(({ imported }) => (imported as Node)?.name);
    return /^(node:)?timers\/promises$/.test(String(from)) && names.includes("setTimeout");
  }
  if (node.type !== "NewExpression" || dottedName(node.callee) !== "Promise") return false;
  const [executor] = node.arguments as unknown[];
  if (!isNode(executor)) return false;
  const resolver = ((executor.params as Node[]) ?? [])[0]?.name;
  let sleeps = false;
  walk(executor, (inner) => {
    const [callback] = (inner.arguments as Node[] | undefined) ?? [];
    if (callOf(inner) === "setTimeout" && callback?.name === resolver) sleeps = true;
  });
  return sleeps && resolver !== undefined;
}
