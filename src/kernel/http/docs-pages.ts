/** An entry of the error catalogue. */
export interface ListedError {
  code: string;
  status: number;
  title: string;
  area: string;
  /** What its problem documents have besides what all have. */
  members: readonly string[];
}

const head = (title: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/docs.css">
</head>`;

/** The frame of the API reference; its script draws the rest from /openapi.json. */
export const referencePage = `${head("Plimsoll API")}
<body>
<noscript><p class="note">This page needs JavaScript. The same is said for machines at
<a href="/openapi.json">/openapi.json</a>.</p></noscript>
<div id="reference"></div>
<script src="/docs/assets/reference.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
`;

/** Everything that would ask another host, or send something there, is off. */
export const referenceStart = `"use strict";
Scalar.createApiReference("#reference", {
  url: "/openapi.json",
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  persistAuth: false,
  defaultOpenAllTags: false,
  operationTitleSource: "summary",
  documentDownloadType: "json",
});
`;

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** The catalogue of errors, one anchor for each code: what the type of a problem points at. */
export function errorsPage(errors: readonly ListedError[]): string {
  const areas = [...new Set(errors.map(({ area }) => area))];
  const jumps = areas.map((area) => `<a href="#${area}">${area}</a>`).join("\n");
  const sections = areas.map((area) =>
    areaSection(
      area,
      errors.filter((error) => error.area === area),
    ),
  );
  return `${head("Errors · Plimsoll API")}
<body class="plain">
<header>
<p class="crumbs"><a href="/docs">API reference</a></p>
<h1>Errors</h1>
<p>Every error is answered as <code>application/problem+json</code> (RFC 9457). Its <code>code</code>
never changes its meaning: let programs decide by it, and people read <code>detail</code>. When you ask
for help, name the <code>requestId</code>. Where members are at fault, <code>errors</code> names each by
a JSON Pointer: into the body as <code>/items/0/quantity</code>, into another part after its name, as
<code>query/limit</code>, <code>path/id</code> or <code>header/last-event-id</code>. As JSON: <a href="/docs/errors.json">/docs/errors.json</a>.</p>
<nav aria-label="Areas">${jumps}</nav>
</header>
<main>
${sections.join("\n")}
</main>
</body>
</html>
`;
}

function areaSection(area: string, errors: readonly ListedError[]): string {
  const rows = errors.map(
    ({ code, status, title, members }) => `<tr id="${code}">
<th scope="row"><a href="#${code}"><code>${code}</code></a></th>
<td class="s${Math.floor(status / 100)}">${status}</td>
<td>${escapeHtml(title)}${membersCell(members)}</td>
</tr>`,
  );
  return `<section aria-labelledby="${area}">
<h2 id="${area}">${area}</h2>
<table>
<thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>
</section>`;
}

function membersCell(members: readonly string[]): string {
  if (members.length === 0) return "";
  const names = members.map((name) => `<code>${escapeHtml(name)}</code>`);
  return `<br><span class="members">also tells ${names.join(", ")}</span>`;
}

export const styles = `
:root { color-scheme: light dark; }
body { margin: 0; }
.note { margin: 2rem; font: 1rem/1.5 system-ui, sans-serif; }
.plain {
  --ink: #16202c; --dim: #5b6b7b; --line: #dfe5ea; --paper: #ffffff; --wash: #f4f7f9;
  --link: #0b5cad; --client: #8a5a00; --server: #a8281e;
  max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem;
  color: var(--ink); background: var(--paper); font: 1rem/1.55 system-ui, sans-serif;
}
@media (prefers-color-scheme: dark) {
  html { background: #10161d; }
  .plain {
    --ink: #e4eaf0; --dim: #93a3b3; --line: #2a3642; --paper: #10161d; --wash: #18212a;
    --link: #7db8f0; --client: #e2b457; --server: #f08a80;
  }
}
.plain h1 { margin: .25rem 0 .5rem; font-size: 2rem; letter-spacing: -.01em; }
.plain h2 { margin: 2.5rem 0 .5rem; font-size: 1.15rem; text-transform: capitalize; }
.plain header p { max-width: 46rem; color: var(--dim); }
.plain a { color: var(--link); text-decoration: none; }
.plain a:hover, .plain a:focus-visible { text-decoration: underline; }
.crumbs { margin: 0; font-size: .9rem; }
.plain nav { display: flex; flex-wrap: wrap; gap: .4rem .5rem; margin-top: 1.25rem; }
.plain nav a {
  padding: .15rem .7rem; border: 1px solid var(--line); border-radius: 999px; background: var(--wash);
}
.plain code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.plain table { width: 100%; border-collapse: collapse; }
.plain th, .plain td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; font-weight: 400; }
.plain thead th { color: var(--dim); font-size: .85rem; }
.plain tbody th { width: 27rem; overflow-wrap: anywhere; }
.plain td:nth-child(2) { width: 4.5rem; font-variant-numeric: tabular-nums; }
.members { color: var(--dim); font-size: .9rem; }
.s4 { color: var(--client); }
.s5 { color: var(--server); }
.plain tr:target { background: var(--wash); box-shadow: -.75rem 0 0 var(--wash), -.9rem 0 0 var(--link); }
@media (max-width: 40rem) {
  .plain thead { display: none; }
  .plain tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  .plain th, .plain td { display: block; width: auto !important; padding: 0; border: 0; }
}
`;
