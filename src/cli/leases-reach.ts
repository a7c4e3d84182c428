import { cpCommand } from "./leases-cp.ts";
import { idOf } from "./names.ts";
import { logsCommand } from "./leases-logs.ts";
import { CommandError, ProgramExit, UsageError } from "./errors.ts";
import { duration, textOf } from "./options.ts";
import { formatRecord } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const stdinBytesAtMost = 1_048_576;
/** What `timeout` of the coreutils answers. */
const timedOutCode = 124;
const secondsUsual = 30;
const answerMs = 30_000;

interface Ended {
  exitCode: number | null;
  stdout: string;
  stderr: string;
  truncated: boolean;
  timedOut: boolean;
}

const exec: CommandSpec = {
  name: "exec <lease> <command...>",
  summary: "run a program in a lease and end with its exit code",
  options: [
    {
      flags: "--timeout <time>",
      summary: "ends it; 30 s unless given, 5m at most",
      parse: duration,
    },
    { flags: "--stdin", summary: "let it read this command's standard input, up to 1 MiB" },
  ],
  help:
    "  plimsoll leases exec box -- ls -l /workspace\n" +
    `A program that was ended by its time makes the exit code ${timedOutCode}.`,
  async run(invocation) {
    const { client, args, options, out, surroundings } = invocation;
    const [named = "", ...command] = args;
    const id = await idOf(client, "lease", named);
    const timeoutSeconds = Number(options.timeout ?? secondsUsual);
    const stdin = options.stdin === true ? await readInput(invocation) : undefined;
    const ended = await client.call<Ended>({
      method: "POST",
      path: path`/leases/${id}/exec`,
      body: { command, timeoutSeconds, ...(stdin !== undefined && { stdin }) },
      timeoutMs: timeoutSeconds * 1_000 + answerMs,
    });
    if (out.isJson) out.jsonLine(ended);
    else {
      await out.raw(ended.stdout);
      surroundings.stderr.write(ended.stderr);
    }
    if (ended.truncated) out.note("It wrote more than is shown.");
    if (ended.timedOut) out.note(`It was ended after ${timeoutSeconds} s.`);
    if (ended.timedOut) throw new ProgramExit(timedOutCode);
    if (ended.exitCode === null) throw new CommandError("The container went away");
    if (ended.exitCode !== 0) throw new ProgramExit(ended.exitCode);
  },
};

async function readInput({ surroundings }: Invocation): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of surroundings.stdin) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > stdinBytesAtMost) {
      throw new UsageError("Standard input is longer than 1 MiB; copy a file with `leases cp`");
    }
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const terminal: CommandSpec = {
  name: "terminal <lease> [command...]",
  summary: "open a terminal in a lease, with a shell or another program",
  options: [
    { flags: "--attach <terminal>", summary: "go on with one that was left less than 5 min ago" },
  ],
  help:
    "Ctrl-P Ctrl-Q leaves the terminal and its program running. A connection that breaks is\n" +
    "opened again, and shows what was missed. Ends with the program's exit code.\n",
  async run(invocation) {
    const [named = "", ...command] = invocation.args;
    const id = await idOf(invocation.client, "lease", named);
    const { terminal: open } = await import("./leases-terminal.ts");
    await open(invocation, id, { command, attach: textOf(invocation.options, "attach") ?? null });
  },
};

const mebibyte = 1_048_576;
const mib = (bytes: unknown) =>
  typeof bytes === "number" ? `${(bytes / mebibyte).toFixed(1)} MiB` : null;

const stats: CommandSpec = {
  name: "stats <lease>",
  summary: "show what a lease uses",
  async run({ client, args, out }) {
    const id = await idOf(client, "lease", args[0] as string);
    const found = await client.call({ path: path`/leases/${id}/stats` });
    out.result(found, () => {
      const { at, cpuSeconds, memoryBytes, memoryLimitBytes, pids, diskBytes } = found;
      const shown = {
        at,
        cpuSeconds,
        memory: memoryBytes === null ? null : `${mib(memoryBytes)} of ${mib(memoryLimitBytes)}`,
        processes: pids,
        networkIn: mib(found.networkInBytes),
        networkOut: mib(found.networkOutBytes),
        disk: mib(diskBytes),
      };
      for (const text of formatRecord(shown)) out.line(text);
    });
  },
};

/** What reaches into leases. */
export const reachCommands: readonly CommandSpec[] = [
  logsCommand,
  exec,
  terminal,
  cpCommand,
  stats,
];
