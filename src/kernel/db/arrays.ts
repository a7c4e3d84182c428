/**
 * Reads PostgreSQL's text form of an array, `{1,NULL,"a \"b\""}`, of any number of dimensions and
 * with any lower bounds (`[0:1]={…}`); `parse` is given each element but null.
 */
export function parseArray(text: string, parse: (element: string) => unknown): unknown[] {
  let at = text.charCodeAt(0) === 91 ? text.indexOf("=") + 1 : 0;
  const result = readArray();
  if (at !== text.length) throw new SyntaxError("An array's text goes on after its end");
  return result;

  function readArray(): unknown[] {
    const elements: unknown[] = [];
    at += 1;
    if (text[at] === "}") {
      at += 1;
      return elements;
    }
    for (;;) {
      elements.push(readElement());
      const separator = text[at];
      at += 1;
      if (separator === "}") return elements;
      if (separator !== ",") throw new SyntaxError("An array's text ends before its end");
    }
  }

  function readElement(): unknown {
    if (text[at] === "{") return readArray();
    if (text[at] === '"') return parse(readQuoted());
    const start = at;
    while (at < text.length && text[at] !== "," && text[at] !== "}") at += 1;
    const element = text.slice(start, at);
    return element === "NULL" ? null : parse(element);
  }

  function readQuoted(): string {
    const start = at + 1;
    let escaped = false;
    for (at = start; at < text.length && text[at] !== '"'; at += 1) {
      if (text[at] !== "\\") continue;
      escaped = true;
      at += 1;
    }
    const inner = text.slice(start, at);
    at += 1;
    return escaped ? inner.replace(/\\([^])/g, "$1") : inner;
  }
}
