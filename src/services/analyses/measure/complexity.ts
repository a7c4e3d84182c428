import type { Node, TreeCursor } from "@vscode/tree-sitter-wasm";
import type { Kind } from "./kinds.ts";
import type { FunctionFacts, TreeFacts } from "./types.ts";

interface Frame {
  kind: Kind | undefined;
  /** What `function`, `nesting` and the last logical operator were before this node. */
  function: FunctionFacts | null;
  nesting: number;
  logic: { last: string } | null;
}

interface Walk {
  facts: TreeFacts;
  frames: Frame[];
  function: FunctionFacts | null;
  nesting: number;
}

const loopsAndChoices = new Set<Kind | undefined>([
  "if",
  "loop",
  "switch",
  "match",
  "catch",
  "ternary",
]);

/**
 * Functions, classes, cyclomatic complexity (McCabe 1976: one, and one for each branch, loop, case,
 * handler and logical operator) and cognitive complexity (G. Ann Campbell, "Cognitive Complexity: a
 * new way of measuring understandability", SonarSource 2018) of a tree. A named inner function is
 * measured by itself, a nameless one in the function around it, one level deeper. Of Sonar's
 * increments the one for recursion is not taken. The walk needs no stack of calls, so that no depth
 * of nesting ends it.
 */
export function measureTree(root: Node, kinds: readonly (Kind | undefined)[]): TreeFacts {
  const walk: Walk = {
    facts: {
      functions: [],
      classes: 0,
      cyclomatic: 0,
      cognitive: 0,
      hasSyntaxErrors: root.hasError,
    },
    frames: [],
    function: null,
    nesting: 0,
  };
  const cursor = root.walk();
  try {
    visitAll(cursor, walk, kinds);
  } finally {
    cursor.delete();
  }
  return walk.facts;
}

function visitAll(cursor: TreeCursor, walk: Walk, kinds: readonly (Kind | undefined)[]): void {
  for (;;) {
    const kind = kinds[cursor.nodeTypeId];
    const parent = walk.frames.at(-1);
    walk.frames.push({
      kind,
      function: walk.function,
      nesting: walk.nesting,
      logic: kind === "binary" ? (parent?.logic ?? { last: "" }) : null,
    });
    if (kind !== undefined || parent?.kind === "if") enter(cursor, walk, kind, parent);
    if (cursor.gotoFirstChild()) continue;
    for (;;) {
      const left = walk.frames.pop() as Frame;
      walk.function = left.function;
      walk.nesting = left.nesting;
      if (cursor.gotoNextSibling()) break;
      if (!cursor.gotoParent()) return;
    }
  }
}

function enter(
  cursor: TreeCursor,
  walk: Walk,
  kind: Kind | undefined,
  parent: Frame | undefined,
): void {
  const isAlternative = parent?.kind === "if" && cursor.currentFieldName === "alternative";
  if (kind === "function") return enterFunction(cursor, walk);
  if (kind === "class") {
    // A keyword has the same name as its node in some grammars.
    if (cursor.nodeIsNamed) walk.facts.classes += 1;
    return;
  }
  if (kind === "logic") return enterLogic(cursor, walk, parent);
  if (kind === "binary") return;
  if (kind !== undefined && !cursor.nodeIsNamed) return;
  if (loopsAndChoices.has(kind)) {
    const isElseIf = kind === "if" && (isAlternative || parent?.kind === "else");
    if (isElseIf && isAlternative) addCognitive(walk, 1);
    else if (!isElseIf) addCognitive(walk, 1 + walk.nesting);
    if (kind !== "switch") addCyclomatic(walk, kind === "match" ? -1 : 1);
    if (!isElseIf) deepen(walk);
    return;
  }
  if (kind === "elseif") {
    addCyclomatic(walk, 1);
    addCognitive(walk, 1);
  } else if (kind === "else") {
    if (parent?.kind !== "switch") addCognitive(walk, 1);
  } else if (kind === "case") addCyclomatic(walk, 1);
  else if (kind === "goto") addCognitive(walk, 1);
  else if (kind === "jump") {
    if (cursor.currentNode.namedChildCount > 0) addCognitive(walk, 1);
  } else if (isAlternative && cursor.nodeIsNamed) addCognitive(walk, 1);
}

function enterFunction(cursor: TreeCursor, walk: Walk): void {
  if (!cursor.nodeIsNamed) return;
  const node = cursor.currentNode;
  const name = nameOf(node);
  const isPart = name === null && walk.function !== null;
  if (isPart) return deepen(walk);
  const parameters = node.childForFieldName("parameters") ?? node.childForFieldName("parameter");
  walk.function = {
    name: name ?? "(nameless)",
    line: node.startPosition.row + 1,
    endLine: node.endPosition.row + 1,
    cyclomatic: 1,
    cognitive: 0,
    parameters: parameters?.namedChildCount ?? 0,
    nesting: 0,
  };
  walk.facts.cyclomatic += 1;
  walk.facts.functions.push(walk.function);
  walk.nesting = 0;
}

const nameChars = 80;

function nameOf(node: Node): string | null {
  const own = node.childForFieldName("name");
  if (own) return own.text.slice(0, nameChars);
  const parent = node.parent;
  const isNaming =
    parent && /^(variable_declarator|pair|assignment|public_field_definition)/.test(parent.type);
  if (!isNaming) return null;
  const named =
    parent.childForFieldName("name") ??
    parent.childForFieldName("key") ??
    parent.childForFieldName("left");
  return named && named.id !== node.id ? named.text.slice(0, nameChars) : null;
}

/** A run of one operator counts once, as it is read once. */
function enterLogic(cursor: TreeCursor, walk: Walk, parent: Frame | undefined): void {
  if (parent?.kind !== "binary" || !parent.logic) return;
  const operator = cursor.nodeType;
  addCyclomatic(walk, 1);
  if (operator !== "??" && parent.logic.last !== operator) addCognitive(walk, 1);
  parent.logic.last = operator;
}

function addCyclomatic(walk: Walk, by: number): void {
  walk.facts.cyclomatic += by;
  if (walk.function) walk.function.cyclomatic += by;
}

function addCognitive(walk: Walk, by: number): void {
  walk.facts.cognitive += by;
  if (walk.function) walk.function.cognitive += by;
}

function deepen(walk: Walk): void {
  walk.nesting += 1;
  if (walk.function) walk.function.nesting = Math.max(walk.function.nesting, walk.nesting);
}
