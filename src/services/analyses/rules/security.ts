import type { FileFacts } from "../measure/types.ts";
import { any, type Hit, onAny, onLines, programs, type Rule, script } from "./rule.ts";

const config = /(\.(ya?ml|toml|ini|env|properties|json|conf|cfg)|(^|\/)\.env[^/]*)$/;
const masked = (rule: NonNullable<Rule["file"]>, evidence: string): Rule["file"] => {
  return (file, text) => rule(file, text).map((hit) => ({ ...hit, evidence }));
};

const weakName = "(password|passwd|pwd|secret|api_?key|token)";
const weakValue = "(admin|password|passw0rd|changeme|change-me|secret|root|123456|letmein|default)";
const defaultPassword = new RegExp(
  `${weakName}["']?\\s*[:=]\\s*["']?${weakValue}["']?\\s*[,;}]?\\s*$`,
  "i",
);

const statement = "(?:SELECT\\s.+\\sFROM|INSERT\\s+INTO|UPDATE\\s+\\S+\\s+SET|DELETE\\s+FROM)\\b";
/** A quoted statement, then what joins something to it in any of the languages. */
const sqlJoined = new RegExp(
  `(["'])\\s*${statement}(?:(?!\\1).)*\\1\\s*(?:\\+|\\.\\s*\\$|%\\s*[(\\w])`,
  "i",
);
const sqlFormatted = new RegExp(
  `(Sprintf|String\\.format|\\$)\\(?\\s*"${statement}.*(%[sv]|\\{)`,
  "i",
);
/** A template that compares with a value that stands in it; helpers may be called there. */
const sqlTemplate = new RegExp(`\`\\s*${statement}[^\`]*=\\s*'?\\$\\{[\\w.[\\]]+\\}`, "i");

const opening =
  "(readFile|readFileSync|createReadStream|sendFile|writeFile|unlink|open|send_file" +
  "|file_get_contents|include|require|Open|ReadFile|File)";
const fromRequest =
  "(req(uest)?\\.(query|params|body|args|form|GET)\\b|\\$_(GET|POST|REQUEST)" +
  "|r\\.URL\\.Query\\(\\)|params\\[)";
const requestPath = new RegExp(`\\b${opening}\\(\\s*[^;]*${fromRequest}`);
const requestTarget = new RegExp(`\\bredirect(_to)?\\(?\\s*(\\d+\\s*,\\s*)?${fromRequest}`, "i");
const secretsOf = (file: FileFacts): Hit[] =>
  file.secrets.map(({ line, kind }) => ({
    file: file.path,
    lineStart: line,
    evidence: `a secret of the kind "${kind}" (not quoted)`,
  }));

/** In a program a word without quotes is a variable. */
const writtenPassword = new RegExp(`${weakName}["']?\\s*[:=]\\s*["']${weakValue}["']`, "i");

/** What lets somebody in, or data out. */
export const securityRules: readonly Rule[] = [
  {
    id: "SE-02-secret",
    category: "security",
    severity: "critical",
    title: "A secret is in the repository",
    explanation: "Whoever can read the repository, or ever could, has this key or token.",
    suggestion: "Revoke it, then read it from the environment or a secret store.",
    file: (file) => (file.isTest ? [] : secretsOf(file)),
  },
  {
    id: "SE-02-secret-in-test",
    category: "security",
    severity: "medium",
    title: "A test holds what looks like a secret",
    explanation: "Most are made up, but nobody can tell, and scanners stop at each of them.",
    suggestion: "Put it together when the test runs; revoke it if it ever was one.",
    file: (file) => (file.isTest ? secretsOf(file) : []),
  },
  {
    id: "SE-02-env-file",
    category: "security",
    severity: "high",
    title: "An environment file is committed",
    explanation: "Files like .env hold the values of one machine, passwords among them.",
    suggestion:
      "Remove it from the repository, ignore it, and commit an .env.example without values.",
    project: ({ files }) =>
      files
        .filter(({ path, lines }) => {
          return (
            /(^|\/)\.env(\.(local|prod|production|staging|dev))?$/.test(path) && lines.code > 0
          );
        })
        .map(({ path }) => ({ file: path, lineStart: 1, evidence: "the file is in the tree" })),
  },
  {
    id: "SE-02-key-file",
    category: "security",
    severity: "high",
    title: "A key store is committed",
    explanation: "Key stores and private keys give whoever reads them the identity they prove.",
    suggestion: "Remove it, issue a new key, and mount it where it is used.",
    project: ({ files }) =>
      files
        .filter(({ path }) =>
          /(\.(p12|pfx|jks|keystore|ppk)|(^|\/)id_(rsa|ed25519|ecdsa))$/.test(path),
        )
        .map(({ path }) => ({ file: path, lineStart: 1, evidence: "the file is in the tree" })),
  },
  {
    id: "SE-03-default-password",
    category: "security",
    severity: "high",
    title: "A well-known password is configured",
    explanation: "Default passwords are the first that anybody tries, and few are ever changed.",
    suggestion: "Have the value given at start, and refuse to start without one.",
    file: masked(
      onAny(
        { files: config, pattern: defaultPassword },
        { languages: programs, pattern: writtenPassword },
      ),
      "a well-known value for a password, secret, key or token (not quoted)",
    ),
  },
  {
    id: "sql-concatenation",
    category: "security",
    severity: "high",
    title: "SQL is put together from strings",
    explanation:
      "A value that becomes part of the statement's text can become part of the statement.",
    suggestion: "Pass values as parameters of the query.",
    file: onAny(
      {
        languages: programs,
        pattern: sqlJoined,
      },
      {
        languages: script,
        pattern: sqlTemplate,
      },
      {
        languages: ["Python"],
        pattern: /\bf["']{1,3}\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s|DELETE\s+FROM)\b.*\{/i,
      },
      {
        languages: ["Go", "Java", "C#"],
        pattern: sqlFormatted,
      },
    ),
  },
  {
    id: "AP-05-cors-wildcard",
    category: "security",
    severity: "high",
    title: "Any website may call this API",
    explanation:
      "With a wildcard, or the caller's own origin sent back, every page may read answers.",
    suggestion: "List the origins that need it.",
    file: onLines({
      languages: [...programs, "YAML"],
      pattern: any(
        /Access-Control-Allow-Origin["']?\s*[,:=]\s*["']?\*|\borigin\s*:\s*(["']\*["']|true\b)/,
        /\bapp\.use\(\s*cors\(\s*\)|allow_origins\s*=\s*\[\s*["']\*/,
        /CORS_(ALLOW_ALL_ORIGINS|ORIGIN_ALLOW_ALL)\s*=\s*True|AllowAnyOrigin\(\)/,
        /allowedOrigins\(\s*"\*"|AllowAllOrigins\s*[:=]\s*true/,
      ),
    }),
  },
  {
    id: "code-from-data",
    category: "security",
    severity: "high",
    title: "Text is run as code",
    explanation: "If any of the text comes from outside, whoever sends it runs code here.",
    suggestion: "Parse the data, or look the wanted function up in a table.",
    file: onAny(
      { languages: script, on: "bare", pattern: /(^|[^.\w])eval\(\s*[^)\s]|\bnew Function\(/ },
      { languages: ["Python"], on: "bare", pattern: /(^|[^.\w])(eval|exec)\(\s*[^)\s]/ },
      { languages: ["PHP", "Ruby"], on: "bare", pattern: /(^|[^.\w>:])eval\(\s*[^)\s]/ },
    ),
  },
  {
    id: "shell-injection",
    category: "security",
    severity: "high",
    title: "A shell command is put together from strings",
    explanation: "A value with a quote or a semicolon becomes a command of its own.",
    suggestion: "Start the program with a list of arguments, without a shell.",
    file: onAny(
      {
        languages: script,
        pattern: /(^|[^.\w])(exec|execSync)\(\s*(`[^`]*\$\{|["'][^"']*["']\s*\+)/,
      },
      {
        languages: script,
        pattern: /child_process\.exec(Sync)?\(\s*(`[^`]*\$\{|["'][^"']*["']\s*\+)/,
      },
      {
        languages: ["Python"],
        pattern: /os\.(system|popen)\(\s*(f["']|["'][^"']*["']\s*[+%])|shell\s*=\s*True/,
      },
      {
        languages: ["PHP"],
        pattern: /\b(shell_exec|system|passthru|exec)\(\s*["'][^"']*["']?\s*\.?\s*\$/,
      },
      { languages: ["Ruby"], pattern: /\b(system|exec)\(?\s*"[^"]*#\{|`[^`]*#\{/ },
      {
        languages: ["Go"],
        pattern: /exec\.Command\(\s*"(sh|bash)"\s*,\s*"-c"\s*,\s*[^")]*(\+|Sprintf)/,
      },
    ),
  },
  {
    id: "unsafe-deserialization",
    category: "security",
    severity: "high",
    title: "Objects are read from data",
    explanation: "These formats may name any class or function, which is then called.",
    suggestion: "Read JSON, or use the safe loader of the library.",
    file: onAny(
      {
        languages: ["Python"],
        pattern: any(
          /\b(c?pickle|dill|shelve)\.(loads?|open)\(|marshal\.loads?\(/,
          /yaml\.(unsafe_load|full_load)\(/,
        ),
      },
      { languages: ["Python"], pattern: /yaml\.load\(/, unless: /SafeLoader/ },
      { languages: ["PHP"], pattern: /[^\w>]unserialize\(\s*\$/, unless: /allowed_classes/ },
      { languages: ["Ruby"], pattern: /\bMarshal\.load\(|\bYAML\.unsafe_load\(/ },
      { languages: ["Java"], pattern: /new ObjectInputStream\(/ },
      { languages: ["C#"], pattern: /new BinaryFormatter\(|TypeNameHandling\.(All|Auto|Objects)/ },
    ),
  },
  {
    id: "html-injection",
    category: "security",
    severity: "medium",
    title: "Text becomes HTML unescaped",
    explanation: "A script in the text runs in the browser of whoever looks at the page.",
    suggestion: "Set text, let the template escape, or clean the HTML with a sanitizer.",
    file: onAny(
      {
        languages: script,
        pattern: any(
          /\.(inner|outer)HTML\s*\+?=\s*[^=\s"'`]|\.innerHTML\s*=\s*`[^`]*\$\{/,
          /document\.write\(\s*[^"')]|dangerouslySetInnerHTML|\bv-html=/,
        ),
        unless: /sanitize|escape|DOMPurify/i,
      },
      { languages: ["Python", "HTML"], pattern: /\bmark_safe\(\s*[^"')]|\|\s*safe\b/ },
      { languages: ["PHP"], pattern: /\becho\s+\$_(GET|POST|REQUEST|COOKIE)\b/ },
    ),
  },
  {
    id: "debug-on",
    category: "security",
    severity: "high",
    title: "Debug mode is switched on in code",
    explanation: "Debug pages show code, settings and sometimes a console to every visitor.",
    suggestion: "Read the mode from the environment, off by default.",
    file: onAny(
      { languages: ["Python"], pattern: /\.run\([^)]*debug\s*=\s*True|^DEBUG\s*=\s*True\b/ },
      { languages: ["PHP"], pattern: /ini_set\(\s*["']display_errors["']\s*,\s*["']?(1|on)/i },
      {
        files: /\.(properties|ya?ml)$/,
        pattern: /^\s*(debug|server\.error\.include-stacktrace)\s*[=:]\s*(true|always)\s*$/,
      },
    ),
  },
  {
    id: "path-from-request",
    category: "security",
    severity: "high",
    title: "A path comes from the request",
    explanation: "With ../ in it, any file that the server can read is sent or written.",
    suggestion: "Resolve the path and check that it stays within its folder.",
    file: onLines({
      languages: programs,
      pattern: requestPath,
      unless: /basename|secure_filename/,
    }),
  },
  {
    id: "open-redirect",
    category: "security",
    severity: "medium",
    title: "The request says where to redirect",
    explanation: "A link to this site then leads to any other, with this site's good name.",
    suggestion: "Redirect to known paths only.",
    file: onLines({
      languages: programs,
      pattern: any(
        requestTarget,
        /http\.Redirect\([^)]*(URL\.Query|FormValue)/i,
        /header\(\s*["']Location:\s*["']\s*\.\s*\$_(GET|REQUEST)/i,
      ),
    }),
  },
  {
    id: "hidden-direction",
    category: "security",
    severity: "high",
    title: "Code holds characters that turn its direction",
    explanation: "What is read is not what is run (Boucher and Anderson, Trojan Source, 2021).",
    suggestion: "Remove the characters, or write them as escapes.",
    file: onLines({
      languages: programs,
      on: "raw",
      pattern: /[\u202a-\u202e\u2066-\u2069]/,
      tests: "too",
    }),
  },
  {
    id: "world-writable",
    category: "security",
    severity: "medium",
    title: "Everybody may write a file",
    explanation: "Any user of the machine can change what this program reads or runs.",
    suggestion: "Give the owner the right, and nobody else.",
    file: onLines({
      languages: [...programs, "Shell", "Dockerfile"],
      pattern: /\bchmod\s+(-R\s+)?(0?777|a\+w|o\+w)\b|\bchmod(Sync)?\([^)]*0o?777\b/i,
    }),
  },
  {
    id: "download-to-shell",
    category: "security",
    severity: "medium",
    title: "A download is run unseen",
    explanation: "Whoever answers under that address runs commands here.",
    suggestion: "Download a version, check its hash, then run it.",
    file: onLines({
      languages: ["Shell", "Dockerfile", "YAML", "Makefile"],
      pattern: /\b(curl|wget)\b[^|]*\|\s*(sudo\s+)?(ba|z|da)?sh\b/,
      tests: "too",
    }),
  },
];
