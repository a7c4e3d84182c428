import {
  dottedName,
  type Finding,
  isNode,
  type Node,
  type Source,
  stringValue,
  walk,
} from "./source.ts";

interface Code {
  code: string;
  path: string;
  line: number;
}

/** The codes of each `defineErrors("area", { name: { status, title } })`, and faulty entries. */
function declaredCodes(source: Source): { codes: Code[]; findings: Finding[] } {
  const codes: Code[] = [];
  const findings: Finding[] = [];
  if (source.program === null) return { codes, findings };
  const { path } = source;
  walk(source.program, (node) => {
    if (node.type !== "CallExpression" || dottedName(node.callee) !== "defineErrors") return;
    const [area, entries] = node.arguments as unknown[];
    const areaName = stringValue(area);
    if (areaName === null || !isNode(entries) || entries.type !== "ObjectExpression") return;
    for (const property of entries.properties as Node[]) {
      const name = ((property.key as Node | undefined)?.name ??
        stringValue(property.key) ??
        "") as string;
      const line = source.lineOf(property.start);
      codes.push({ code: `ERR_${areaName}_${name}`.toUpperCase(), path, line });
      const fault = entryFault(property.value);
      if (fault) findings.push({ rule: "errors", path, line, message: `${name}: ${fault}` });
    }
  });
  return { codes, findings };
}

function entryFault(entry: unknown): string | null {
  if (!isNode(entry) || entry.type !== "ObjectExpression") return null;
  const member = (wanted: string) =>
    (entry.properties as Node[]).find(({ key }) => (key as Node | undefined)?.name === wanted)
      ?.value;
  const title = stringValue(member("title"));
  const status = (member("status") as Node | undefined)?.value;
  if (typeof status !== "number" || status < 400 || status > 599)
    return "has no status of an error";
  if (title === null || title.trim() === "") return "has no title";
  if (/[.!]$/.test(title)) return "its title is a headline: no full stop";
  return null;
}

/**
 * The error catalogue is closed both ways: a code stands once, a service's README explains each of
 * its codes, and no text names a code that does not exist.
 */
export function checkErrorCatalogue(sources: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  const byCode = new Map<string, Code>();
  const readmes = new Map(
    sources.filter(({ path }) => path.endsWith("/README.md")).map(({ path, text }) => [path, text]),
  );
  for (const source of sources) {
    if (!/^src\/.*\.ts$/.test(source.path) || source.path.endsWith(".test.ts")) continue;
    const declared = declaredCodes(source);
    findings.push(...declared.findings);
    for (const code of declared.codes) {
      const first = byCode.get(code.code);
      const { path, line } = code;
      if (first) {
        const message = `${code.code} stands in ${first.path} already`;
        findings.push({ rule: "errors", path, line, message });
      }
      byCode.set(code.code, code);
      const service = /^src\/services\/[^/]+\//.exec(path)?.[0];
      const readme = service ? readmes.get(`${service}README.md`) : undefined;
      if (service && !(readme ?? "").includes(code.code)) {
        const message = `${code.code} is not explained in ${service}README.md`;
        findings.push({ rule: "errors-documented", path, line, message });
      }
    }
  }
  for (const { path, lines } of sources) {
    if (!path.endsWith(".md") || path.startsWith("decisions/")) continue;
    lines.forEach((text, index) => {
      for (const [code] of text.matchAll(/\bERR_[A-Z]+_[A-Z0-9_]*[A-Z0-9]\b/g)) {
        if (byCode.has(code)) continue;
        const message = `${code} is in no catalogue`;
        findings.push({ rule: "errors-documented", path, line: index + 1, message });
      }
    });
  }
  return findings;
}
