import { onAny, onLines, programs, type Rule, script } from "./rule.ts";

/** Lets go what a comment on its line, or on the line above, explains. */
const unexplained =
  (rule: NonNullable<Rule["file"]>): Rule["file"] =>
  (file, text) =>
    rule(file, text).filter(({ lineStart }) => {
      const above = text.raw[lineStart - 2] ?? "";
      const isAbove = above.trim() !== "" && (text.code[lineStart - 2] ?? "").trim() === "";
      return !isAbove && text.raw[lineStart - 1] === text.code[lineStart - 1];
    });

/** What goes wrong sooner or later. */
export const reliabilityRules: readonly Rule[] = [
  {
    id: "error-swallowed",
    category: "reliability",
    severity: "medium",
    title: "An error is dropped without a word",
    explanation: "What failed goes on as if it had worked, and nobody can find out why.",
    suggestion: "Handle it, log it, or say in a comment why it may be ignored.",
    file: unexplained(
      onAny(
        {
          languages: [...script, "Java", "C#", "PHP", "Kotlin"],
          on: "both",
          pattern: /\bcatch\s*(\([^)]*\))?\s*\{\s*\}/,
        },
        { languages: script, on: "both", pattern: /\.catch\(\s*\(\s*\w*\s*\)\s*=>\s*\{\s*\}\s*\)/ },
        { languages: ["Python"], on: "both", pattern: /^\s*except\b[^:]*:\s*pass\s*$/ },
        { languages: ["Go"], on: "both", pattern: /if err != nil \{\s*\}/ },
        {
          languages: ["Ruby"],
          on: "both",
          pattern: /\brescue\s*(=>\s*\w+\s*)?;?\s*(nil)?\s*end\b|\brescue nil\b/,
        },
      ),
    ),
  },
  {
    id: "catches-everything",
    category: "reliability",
    severity: "medium",
    title: "Every error is caught alike",
    explanation:
      "Interrupts, exhausted memory and faults of the program are taken for expected errors.",
    suggestion: "Name the errors that are expected here.",
    file: onAny(
      { languages: ["Python"], pattern: /^\s*except\s*(BaseException)?\s*:/ },
      {
        languages: ["Java", "Kotlin"],
        pattern: /\bcatch\s*\(\s*(final\s+)?(Throwable\b|\w+\s*:\s*Throwable)/,
      },
      { languages: ["PHP"], pattern: /\bcatch\s*\(\s*\\?Throwable\b/ },
      { languages: ["Ruby"], pattern: /\brescue\s+Exception\b/ },
    ),
  },
  {
    id: "request-without-timeout",
    category: "reliability",
    severity: "medium",
    title: "A request may wait for ever",
    explanation: "A server that never answers takes its caller with it.",
    suggestion: "Set a timeout.",
    file: onAny(
      {
        languages: ["Python"],
        pattern: /\brequests\.(get|post|put|delete|patch|head)\([^)]*\)/,
        unless: /timeout/,
      },
      { languages: ["Go"], pattern: /\bhttp\.(Get|Post|Head)\(|&http\.Client\{\s*\}/ },
    ),
  },
  {
    id: "panics",
    category: "reliability",
    severity: "low",
    title: "A missing value ends the program",
    explanation: "unwrap and panic turn one bad request into an outage.",
    suggestion: "Return the error to whoever can handle it.",
    file: onAny(
      { languages: ["Rust"], pattern: /\.unwrap\(\)|\bpanic!\(/ },
      { languages: ["Go"], pattern: /(^|\s)panic\(/ },
    ),
  },
  {
    id: "mutable-default",
    category: "reliability",
    severity: "medium",
    title: "A default value is shared by all calls",
    explanation: "Python makes a default once; what one call adds, the next one finds.",
    suggestion: "Use None, and make the list or dictionary inside.",
    file: onLines({
      languages: ["Python"],
      pattern: /^\s*(async\s+)?def\s+\w+\(.*=\s*(\[|\{|list\(|dict\()/,
    }),
  },
  {
    id: "loose-equality",
    category: "reliability",
    severity: "low",
    title: "Values are compared after conversion",
    explanation: "With ==, 0 is equal to an empty string and to a list without members.",
    suggestion: "Use === and !==.",
    file: onLines({
      languages: ["TypeScript", "TSX", "JavaScript"],
      on: "bare",
      pattern: /[^=!<>]==[^=]|!=[^=]/,
      unless: /[!=]=\s*null\b|null\s*[!=]=/,
    }),
  },
  {
    id: "merge-conflict",
    category: "reliability",
    severity: "high",
    title: "A merge was not finished",
    explanation: "The markers of a conflict are no code: the file can't be what anybody meant.",
    suggestion: "Choose between the two sides and remove the markers.",
    file: onLines({ on: "raw", pattern: /^(<{7}|>{7}) \S/, tests: "too" }),
  },
  {
    id: "debugger-left",
    category: "reliability",
    severity: "medium",
    title: "A debugging aid was left behind",
    explanation: "The program stops there, or shows its insides to visitors.",
    suggestion: "Remove it.",
    file: onAny(
      { languages: script, on: "bare", pattern: /^\s*debugger\s*;?\s*$/ },
      { languages: ["Python"], on: "bare", pattern: /\b(i?pdb)\.set_trace\(|(^|\s)breakpoint\(\)/ },
      { languages: ["PHP"], on: "bare", pattern: /(^|[\s;{])(var_dump|dd|dump)\(/ },
      { languages: ["Ruby"], on: "bare", pattern: /\bbinding\.(pry|irb)\b|^\s*byebug\b/ },
    ),
  },
  {
    id: "import-cycle",
    category: "reliability",
    severity: "medium",
    title: "Files import each other in a circle",
    explanation: "Which of them runs first depends on who asks first, and none can be used alone.",
    suggestion: "Move what both need into a file that imports neither.",
    project: ({ cycles }) =>
      cycles.map((files) => ({
        file: files[0] ?? "",
        lineStart: 1,
        evidence: [...files.slice(0, 5), ...(files.length > 5 ? ["…"] : [])].join(" ↔ "),
      })),
  },
  {
    id: "syntax-error",
    category: "reliability",
    severity: "low",
    title: "The file has a syntax that its grammar does not know",
    explanation: "It is broken, or newer than the grammar; measures of it may be wrong.",
    suggestion: "Compile it; if it does, nothing is to be done.",
    file: (file) =>
      file.tree?.hasSyntaxErrors && !/fixtures?\//.test(file.path)
        ? [{ file: file.path, lineStart: 1, evidence: `not valid ${file.language}` }]
        : [],
  },
  {
    id: "SE-05-no-lockfile",
    category: "reliability",
    severity: "high",
    title: "Dependencies are not locked",
    explanation: "Every install may bring other versions, faulty or malicious ones included.",
    suggestion: "Commit the lockfile.",
    project: ({ manifests }) =>
      manifests
        .filter(({ ecosystem, lockfile, dependencies }) => {
          const locks = ["npm", "Pipenv", "Go", "Cargo", "Composer", "Bundler"];
          return dependencies > 0 && lockfile === null && locks.includes(ecosystem);
        })
        .map(({ file, ecosystem, dependencies }) => ({
          file,
          lineStart: 1,
          evidence: `${dependencies} dependencies of ${ecosystem}, no lockfile`,
        })),
  },
  {
    id: "SE-05-dependency-unpinned",
    category: "reliability",
    severity: "medium",
    title: "A dependency may be any version",
    explanation: "The next install takes whatever is newest, breaking changes included.",
    suggestion: "Name a version, or at least a major version.",
    file: onAny(
      {
        files: /(^|\/)package\.json$/,
        pattern: /^\s*"[@\w/.-]+"\s*:\s*"(\*|latest|x|>=?\s*\d[^"]*)"/,
        unless: /"(node|npm|vscode)"\s*:/,
      },
      {
        files: /(^|\/)requirements[\w.-]*\.txt$/,
        pattern: /^[A-Za-z][\w.[\]-]*\s*(>=[^,]*|>[^,]*)?\s*(#.*)?$/,
      },
      { files: /(^|\/)Cargo\.toml$/, pattern: /^\s*[\w-]+\s*=\s*"\*"/ },
    ),
  },
  {
    id: "SE-05-dependency-by-address",
    category: "reliability",
    severity: "medium",
    title: "A dependency comes from an address",
    explanation: "What stands there can change or go without a new version.",
    suggestion: "Use a published version, or name a full commit.",
    file: onAny(
      {
        files: /(^|\/)package\.json$/,
        pattern: /^\s*"[@\w/.-]+"\s*:\s*"(git(\+\w+)?:|https?:\/\/|github:)[^"]*"/,
        unless: /#[0-9a-f]{40}"|"(url|homepage|bugs|repository|\$schema)"/,
      },
      {
        files: /(^|\/)requirements[\w.-]*\.txt$/,
        pattern: /(^|\s)(git\+|https?:\/\/)\S+/,
        unless: /@[0-9a-f]{40}|^\s*--/,
      },
    ),
  },
  {
    id: "print-logging",
    category: "operations",
    severity: "low",
    title: "A server writes its log with print",
    explanation: "Lines without time, level and request can't be searched or filtered.",
    suggestion: "Use a logger that writes one JSON object per line.",
    file: (file, text) =>
      file.traits.includes("listens")
        ? onLines({
            languages: programs,
            on: "bare",
            pattern:
              /\bconsole\.(log|info|error)\(|^\s*print\(|fmt\.Print(ln|f)?\(|System\.out\.print/,
          })(file, text)
        : [],
  },
];
