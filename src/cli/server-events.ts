/** One event of a stream as the WHATWG HTML standard, section 9.2, defines it. */
export interface StreamedEvent {
  type: string;
  data: string;
  id: string | undefined;
}

const lineCharsAtMost = 4 * 2 ** 20;

/** Splits a body into events; comments, which keep connections alive, are passed over. */
export async function* readServerEvents(
  body: AsyncIterable<Uint8Array> | null,
): AsyncGenerator<StreamedEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let lines: string[] = [];
  let endedInReturn = false;
  for await (const chunk of body ?? []) {
    let text = decoder.decode(chunk, { stream: true });
    // The other half of a line break that the network has cut in two.
    if (endedInReturn && text.startsWith("\n")) text = text.slice(1);
    else if (text === "") continue;
    endedInReturn = text.endsWith("\r");
    const [first = "", ...others] = text.split(/\r\n|\n|\r/);
    const parts = [rest + first, ...others];
    rest = parts.pop() ?? "";
    if (rest.length > lineCharsAtMost) throw new Error("A line of the event stream is too long");
    for (const line of parts) {
      if (line !== "") {
        lines.push(line);
        continue;
      }
      const event = parseEvent(lines);
      lines = [];
      if (event) yield event;
    }
  }
}

function parseEvent(lines: readonly string[]): StreamedEvent | null {
  let type = "message";
  let id: string | undefined;
  const data: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  }
  if (data.length === 0 && id === undefined) return null;
  return { type, id, data: data.join("\n") };
}
