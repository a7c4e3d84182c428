import { spawnSync } from "node:child_process";
import { ApiError, CommandError, ProgramExit, UsageError } from "./errors.ts";
import { type Link, type LinkEnd, openLink, type Ready } from "./terminal-link.ts";
import type { Invocation } from "./types.ts";
import { createDetachKeys, createTyped } from "./typing.ts";

/** How long is waited before each try to come back; a connection that holds begins them anew. */
const backoffMs = [250, 500, 1_000, 2_000, 4_000, 8_000];

export interface Wanted {
  /** A program and its arguments; empty for a shell. */
  readonly command: readonly string[];
  /** A terminal that was left. */
  readonly attach: string | null;
}

/** What is known of a terminal through all connections to it. */
interface Attached {
  readonly leaseId: string;
  readonly wanted: Wanted;
  terminal: string | null;
  /** How many bytes of it have been shown. */
  position: number;
  /** Of the connection there is now. */
  link: Link | null;
  tries: number;
  /** It was shown here before. */
  isKnown: boolean;
  isDetached: boolean;
}

/**
 * Shows a terminal of a lease at this one, until its program ends, Ctrl-P Ctrl-Q leaves it, or it
 * can't be reached any more. Ends with the program's exit code.
 */
export async function terminal(
  invocation: Invocation,
  leaseId: string,
  wanted: Wanted,
): Promise<void> {
  const { stdin, stdout } = invocation.surroundings;
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new UsageError(
      "This needs a terminal for input and output; `plimsoll leases exec` runs programs without",
    );
  }
  const attached: Attached = {
    leaseId,
    wanted,
    terminal: wanted.attach,
    position: 0,
    link: null,
    tries: 0,
    isKnown: false,
    isDetached: false,
  };
  const typed = createTyped();
  const letGo = takeTerminal(invocation, attached, typed);
  try {
    await hold(invocation, attached, typed);
  } finally {
    letGo();
  }
  if (!attached.isDetached || attached.terminal === null) return;
  const again = `plimsoll leases terminal ${leaseId} --attach ${attached.terminal}`;
  invocation.out.success(`Left it running; for five minutes it can be gone on with: ${again}`);
}

/** Sends on what is typed and how large the terminal is; answers how to stop that. */
function takeTerminal(
  { surroundings: { stdin, stdout } }: Invocation,
  attached: Attached,
  typed: ReturnType<typeof createTyped>,
): () => void {
  const look = createDetachKeys();
  const hear = (chunk: Buffer | string) => {
    const { bytes, isDetach } = look(Buffer.from(chunk));
    if (bytes.length > 0 && typed.push(bytes)) attached.link?.type(bytes);
    if (!isDetach) return;
    attached.isDetached = true;
    attached.link?.close();
  };
  const resize = () => attached.link?.resize(sizeOf(stdout));
  stdin.setRawMode(true);
  leaveOutputAlone(stdin);
  stdin.on("data", hear).resume();
  stdout.on("resize", resize);
  return () => {
    stdout.off("resize", resize);
    stdin.off("data", hear).pause();
    stdin.setRawMode(false);
  };
}

/**
 * Raw mode as Node has it makes CR LF of each LF, which full-screen programs mean as a step down;
 * what it has changed and this are undone together.
 */
function leaveOutputAlone(stdin: NodeJS.ReadStream & { fd?: number }): void {
  const { fd } = stdin;
  // Streams of tests have none; without `stty` lines are a little odd, and nothing worse.
  if (typeof fd === "number") spawnSync("stty", ["-opost"], { stdio: [fd, "ignore", "ignore"] });
}

/** Connects, and comes back for as long as there is something to come back to. */
async function hold(
  invocation: Invocation,
  attached: Attached,
  typed: ReturnType<typeof createTyped>,
): Promise<void> {
  const { client } = invocation;
  let headers = await client.credentials();
  for (;;) {
    const link = openOne(invocation, attached, typed, headers);
    attached.link = link;
    const end = await link.over;
    attached.link = null;
    if (attached.isDetached || isDone(end)) return;
    if (end.kind === "unauthorized") {
      headers = await renewed(invocation, attached, headers, end.problem);
      continue;
    }
    const why = comesBack(end, attached);
    const waitMs = backoffMs[attached.tries];
    if (why === null || waitMs === undefined) throw asError(end);
    attached.tries += 1;
    if (attached.tries === 1) say(invocation, `[${why}; coming back]`);
    await client.clock.sleep(waitMs);
    if (attached.isDetached) return;
  }
}

/** Whether the program is over; throws its exit code where that is not 0. */
function isDone(end: LinkEnd): boolean {
  if (end.kind !== "exited") return false;
  if (end.exitCode === null) throw new CommandError("The program was ended, or its lease is over");
  if (end.exitCode !== 0) throw new ProgramExit(end.exitCode);
  return true;
}

/** Why it may be worth trying again, or null. */
function comesBack(end: LinkEnd, { isKnown }: Attached): string | null {
  // Without a terminal to come back to nothing is lost by telling at once.
  if (!isKnown) return null;
  if (end.kind === "broken") return "the connection broke";
  if (end.kind !== "refused") return null;
  const { status, code } = end.problem;
  const mayPass = status === 429 || code === "ERR_LEASES_TERMINAL_ELSEWHERE";
  return mayPass ? "the server can't be reached" : null;
}

function asError(end: LinkEnd): Error {
  if (end.kind === "refused") return new ApiError(end.problem, end.retryAfterSeconds);
  if (end.kind === "closed") return new CommandError(end.reason);
  const why = end.kind === "broken" ? ` (${end.why})` : "";
  return new CommandError(`The terminal can't be reached${why}`);
}

async function renewed(
  { client }: Invocation,
  attached: Attached,
  refused: Readonly<Record<string, string>>,
  problem: Extract<LinkEnd, { kind: "unauthorized" }>["problem"],
) {
  const fresh = await client.credentials(refused);
  const isNew = fresh.authorization !== undefined && fresh.authorization !== refused.authorization;
  attached.tries += 1;
  if (isNew && attached.tries <= backoffMs.length) return fresh;
  throw new ApiError(problem ?? { title: "The credentials have ended", status: 401 });
}

function openOne(
  invocation: Invocation,
  attached: Attached,
  typed: ReturnType<typeof createTyped>,
  headers: Readonly<Record<string, string>>,
): Link {
  const { client, surroundings } = invocation;
  const { stdout } = surroundings;
  const link = openLink({
    url: urlOf(client.api, attached, stdout),
    headers,
    clock: client.clock,
    onReady({ terminal: name, position, typed: arrived }: Ready) {
      const lostBytes = attached.isKnown ? position - attached.position : 0;
      Object.assign(attached, { terminal: name, position, tries: 0, isKnown: true });
      if (lostBytes > 0) say(invocation, `[${lostBytes} bytes are lost]`);
      const missing = typed.missing(arrived);
      if (missing.length > 0) link.type(missing);
      link.resize(sizeOf(stdout));
    },
    onShown(bytes) {
      attached.position += bytes.length;
      return invocation.out.raw(bytes);
    },
  });
  return link;
}

/** A terminal may not know its size, and say 0; a server takes no more than 1,000 of each. */
const sizeOf = ({ columns, rows }: NodeJS.WriteStream) => ({
  columns: Math.min(columns || 80, 1_000),
  rows: Math.min(rows || 24, 1_000),
});

function urlOf(api: string, attached: Attached, stdout: NodeJS.WriteStream): string {
  const { columns, rows } = sizeOf(stdout);
  const { leaseId, terminal: name, position, wanted } = attached;
  const url = new URL(`/api/v1/leases/${encodeURIComponent(leaseId)}/terminal`, api);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("columns", String(columns));
  url.searchParams.set("rows", String(rows));
  if (name === null) for (const word of wanted.command) url.searchParams.append("command", word);
  else {
    url.searchParams.set("terminal", name);
    url.searchParams.set("position", String(position));
  }
  return url.href;
}

/** A line of its own, in a terminal that takes a line feed for nothing more. */
function say({ surroundings }: Invocation, text: string): void {
  surroundings.stderr.write(`\r\n${text}\r\n`);
}
