export interface Language {
  name: LanguageName;
  extensions: readonly string[];
  /** The program of a `#!` line. */
  interpreters?: readonly string[];
  fileNames?: readonly string[];
  lineComments: readonly string[];
  blockComments: readonly (readonly [open: string, close: string])[];
  /** Characters that open and close strings on one line, and those that go over several. */
  quotes: string;
  multilineQuotes?: readonly string[];
  hasRegexLiterals?: true;
  /** The name of its grammar, where one is carried. */
  grammar?: string;
}

const names = [
  "TypeScript",
  "TSX",
  "JavaScript",
  "Python",
  "Go",
  "Java",
  "Rust",
  "C#",
  "PHP",
  "Ruby",
  "C",
  "C++",
  "Kotlin",
  "Swift",
  "Scala",
  "Shell",
  "SQL",
  "HTML",
  "CSS",
  "Vue",
  "YAML",
  "TOML",
  "JSON",
  "XML",
  "Markdown",
  "Dockerfile",
  "Terraform",
  "Makefile",
] as const;

export type LanguageName = (typeof names)[number];

const slashes = { lineComments: ["//"], blockComments: [["/*", "*/"]] } as const;
const hashes = { lineComments: ["#"], blockComments: [] } as const;
const tags = { lineComments: [], blockComments: [["<!--", "-->"]] } as const;
const script = {
  ...slashes,
  quotes: "\"'",
  multilineQuotes: ["`"],
  hasRegexLiterals: true,
} as const;

/** Every language that lines are counted for. */
export const languages: readonly Language[] = [
  { name: "TypeScript", extensions: ["ts", "mts", "cts"], ...script, grammar: "typescript" },
  { name: "TSX", extensions: ["tsx"], ...script, grammar: "tsx" },
  {
    name: "JavaScript",
    extensions: ["js", "mjs", "cjs", "jsx"],
    interpreters: ["node", "bun", "deno"],
    ...script,
    grammar: "javascript",
  },
  {
    name: "Python",
    extensions: ["py", "pyi"],
    interpreters: ["python", "python3", "python2"],
    ...hashes,
    quotes: "\"'",
    multilineQuotes: ['"""', "'''"],
    grammar: "python",
  },
  {
    name: "Go",
    extensions: ["go"],
    ...slashes,
    quotes: "\"'",
    multilineQuotes: ["`"],
    grammar: "go",
  },
  {
    name: "Java",
    extensions: ["java"],
    ...slashes,
    quotes: "\"'",
    multilineQuotes: ['"""'],
    grammar: "java",
  },
  { name: "Rust", extensions: ["rs"], ...slashes, quotes: '"', grammar: "rust" },
  { name: "C#", extensions: ["cs"], ...slashes, quotes: "\"'", grammar: "c-sharp" },
  {
    name: "PHP",
    extensions: ["php"],
    interpreters: ["php"],
    lineComments: ["//", "#"],
    blockComments: [["/*", "*/"]],
    quotes: "\"'",
    grammar: "php",
  },
  {
    name: "Ruby",
    extensions: ["rb", "rake", "gemspec"],
    interpreters: ["ruby"],
    fileNames: ["Rakefile", "Gemfile"],
    lineComments: ["#"],
    blockComments: [["\n=begin", "\n=end"]],
    quotes: "\"'",
    grammar: "ruby",
  },
  { name: "C", extensions: ["c", "h"], ...slashes, quotes: "\"'" },
  { name: "C++", extensions: ["cc", "cpp", "cxx", "hpp", "hh"], ...slashes, quotes: "\"'" },
  { name: "Kotlin", extensions: ["kt", "kts"], ...slashes, quotes: "\"'" },
  { name: "Swift", extensions: ["swift"], ...slashes, quotes: '"' },
  { name: "Scala", extensions: ["scala"], ...slashes, quotes: '"' },
  {
    name: "Shell",
    extensions: ["sh", "bash", "zsh"],
    interpreters: ["sh", "bash", "zsh", "dash"],
    ...hashes,
    quotes: "\"'",
  },
  {
    name: "SQL",
    extensions: ["sql"],
    lineComments: ["--"],
    blockComments: [["/*", "*/"]],
    quotes: "'",
  },
  { name: "HTML", extensions: ["html", "htm"], ...tags, quotes: "" },
  { name: "Vue", extensions: ["vue", "svelte"], ...tags, quotes: "" },
  { name: "XML", extensions: ["xml", "svg", "csproj"], ...tags, quotes: "" },
  {
    name: "CSS",
    extensions: ["css", "scss", "less"],
    lineComments: [],
    blockComments: [["/*", "*/"]],
    quotes: "\"'",
  },
  { name: "YAML", extensions: ["yml", "yaml"], ...hashes, quotes: "" },
  { name: "TOML", extensions: ["toml"], ...hashes, quotes: '"' },
  {
    name: "JSON",
    extensions: ["json", "json5", "jsonc"],
    lineComments: [],
    blockComments: [],
    quotes: '"',
  },
  { name: "Markdown", extensions: ["md", "markdown"], ...tags, quotes: "" },
  {
    name: "Dockerfile",
    extensions: ["dockerfile"],
    fileNames: ["Dockerfile", "Containerfile"],
    ...hashes,
    quotes: "",
  },
  {
    name: "Terraform",
    extensions: ["tf"],
    lineComments: ["#", "//"],
    blockComments: [["/*", "*/"]],
    quotes: '"',
  },
  {
    name: "Makefile",
    extensions: ["mk"],
    fileNames: ["Makefile", "GNUmakefile"],
    ...hashes,
    quotes: "",
  },
];

const byName = new Map(languages.map((language) => [language.name, language]));
const byExtension = new Map(
  languages.flatMap((language) => language.extensions.map((each) => [each, language] as const)),
);
const byFileName = new Map(
  languages.flatMap(
    (language) => language.fileNames?.map((each) => [each, language] as const) ?? [],
  ),
);

/** The description of a language by its name. */
export const languageNamed = (name: LanguageName): Language => byName.get(name) as Language;

/** The language of a file by its name, else by its `#!` line; null when neither tells. */
export function languageOf(path: string, firstLine: string): Language | null {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const named = byFileName.get(base) ?? byFileName.get(/^(Dockerfile)\./.exec(base)?.[1] ?? "");
  if (named) return named;
  const extension = /\.([A-Za-z0-9]+)$/.exec(base)?.[1]?.toLowerCase();
  const found = extension === undefined ? undefined : byExtension.get(extension);
  if (found) return found;
  const program = /^#!\s*(?:\S*\/env\s+(?:-S\s+)?)?(?:\S*\/)?([a-z]+\d?)/.exec(
    firstLine.slice(0, 200),
  );
  const name = program?.[1];
  return name ? (languages.find((each) => each.interpreters?.includes(name)) ?? null) : null;
}

/** What is prose or data: counted, but neither duplicated code nor a language of the project. */
export const isProse = (name: LanguageName | null): boolean =>
  name === null || ["JSON", "Markdown", "YAML", "TOML", "XML", "HTML", "SQL", "CSS"].includes(name);
