/* What the timeline shows. Runs in a browser, put into one script with the rest. */

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes.buffer;
}

/** The columns as numbers, and the operations of each lane by their calls. */
export function decode(data) {
  const columns = {
    call: new Float64Array(bytesOf(data.call)),
    end: new Float64Array(bytesOf(data.end)),
    kind: new Uint8Array(bytesOf(data.kind)),
    version: data.version ? new Float64Array(bytesOf(data.version)) : null,
  };
  for (const name of ["lane", "key", "value", "expected", "replica"]) {
    columns[name] = new Int32Array(bytesOf(data[name]));
  }
  const byLane = data.lanes.map(() => []);
  let [from, to] = [Infinity, -Infinity];
  for (let at = 0; at < data.count; at += 1) {
    byLane[columns.lane[at]].push(at);
    from = Math.min(from, columns.call[at]);
    to = Math.max(
      to,
      columns.call[at],
      Number.isNaN(columns.end[at]) ? -Infinity : columns.end[at],
    );
  }
  const margin = Math.max((to - from) * 0.02, 0.5);
  const drawnTo = columns.end.slice();
  for (const operations of byLane) {
    operations.forEach((at, position) => {
      const next = operations[position + 1];
      if (Number.isNaN(drawnTo[at])) drawnTo[at] = next === undefined ? to : columns.call[next];
    });
  }
  return { ...data, ...columns, byLane, drawnTo, from: from - margin, to: to + margin };
}

/** The operation's name. */
export const opOf = (model, at) => model.names.op[model.kind[at] & 7];
/** ok, fail, info, or that it found another value. */
export const outcomeOf = (model, at) => model.names.outcome[(model.kind[at] >> 3) & 3];
/** The level that was asked for, or null. */
export const levelOf = (model, at) => model.levels[model.kind[at] >> 5] ?? null;
/** A value's text; none for -1. */
export const valueOf = (model, number) => (number < 0 ? "" : model.values[number]);

const unquoted = (text) => (text === "nothing" ? "∅" : text.replace(/^"(.*)"$/, "$1"));

/** What an operation did, in a few letters. */
export function shortText(model, at) {
  const value = unquoted(valueOf(model, model.value[at]));
  const name = opOf(model, at);
  if (name === "read") return outcomeOf(model, at) === "ok" ? `r ${value}` : "r";
  const isRefused = outcomeOf(model, at) === "found another value";
  if (name === "cas")
    return `${unquoted(valueOf(model, model.expected[at]))}${isRefused ? "↛" : "→"}${value}`;
  if (name === "delete") return "del";
  return `${name === "append" ? "+" : "w"} ${value}`;
}

/** A time of the history, or a position where times have no length. */
export function timeText(model, at) {
  if (model.clock !== "ms") return `#${Math.round(at)}`;
  return `${Number(at.toFixed(3)).toLocaleString("en")} ms`;
}
