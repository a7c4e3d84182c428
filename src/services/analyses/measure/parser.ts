import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Language, Parser as ParserType } from "@vscode/tree-sitter-wasm";
import { measureTree } from "./complexity.ts";
import { type Kind, kindTables } from "./kinds.ts";
import type { TreeFacts } from "./types.ts";

interface Loaded {
  language: Language;
  kinds: readonly (Kind | undefined)[];
}

export interface TreeReader {
  /** Null where the text is too long or takes too long, or the parser is broken. */
  read(text: string, grammar: string): Promise<TreeFacts | null>;
  close(): void;
}

/** A tree takes some 20 times the memory of its text. */
const textCharsAtMost = 2 ** 20;
const parseMsAtMost = 5_000;

/**
 * Reads syntax trees with tree-sitter, one at a time; each is freed before the next. A parser that
 * a text has broken (WebAssembly has then run out of memory or bounds) reads no more.
 */
export async function openTreeReader(): Promise<TreeReader> {
  const require = createRequire(import.meta.url);
  const wasm = dirname(require.resolve("@vscode/tree-sitter-wasm"));
  const library = require("@vscode/tree-sitter-wasm") as typeof import("@vscode/tree-sitter-wasm");
  await library.Parser.init();
  let parser: ParserType | null = new library.Parser();
  const loaded = new Map<string, Loaded>();
  const load = async (grammar: string): Promise<Loaded> => {
    const known = loaded.get(grammar);
    if (known) return known;
    const language = await library.Language.load(join(wasm, `tree-sitter-${grammar}.wasm`));
    const table = kindTables[grammar] ?? {};
    const kinds = Array.from({ length: language.nodeTypeCount }, (_, id) => {
      return table[language.nodeTypeForId(id) ?? ""];
    });
    const made = { language, kinds };
    loaded.set(grammar, made);
    return made;
  };
  return {
    async read(text, grammar) {
      if (parser === null || text.length > textCharsAtMost) return null;
      const { language, kinds } = await load(grammar);
      try {
        return readOnce(parser, language, kinds, text);
      } catch (error) {
        if (!isBroken(error)) throw error;
        parser = null;
        return null;
      }
    },
    close() {
      parser?.delete();
      parser = null;
    },
  };
}

/** What WebAssembly throws when a program in it has run out of memory or bounds. */
const isBroken = (error: unknown): boolean =>
  error instanceof RangeError || (error instanceof Error && error.name === "RuntimeError");

function readOnce(
  parser: ParserType,
  language: Language,
  kinds: Loaded["kinds"],
  text: string,
): TreeFacts | null {
  const startedMs = performance.now();
  parser.setLanguage(language);
  const tree = parser.parse(text, null, {
    progressCallback: () => performance.now() - startedMs > parseMsAtMost,
  });
  if (!tree) {
    parser.reset();
    return null;
  }
  try {
    return measureTree(tree.rootNode, kinds);
  } finally {
    tree.delete();
  }
}
