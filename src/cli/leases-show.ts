import { CommandError, UsageError } from "./errors.ts";
import { money } from "./money.ts";
import { duration, integer } from "./options.ts";
import type { Output } from "./output.ts";
import { dataOptions, readBody } from "./resource.ts";
import { type Column, formatRecord } from "./table.ts";
import { oneLine, readable } from "./text.ts";
import type { Call } from "./transport.ts";
import type { Invocation, OptionSpec } from "./types.ts";

/** What the API answers of a lease, as far as it is shown. */
export interface ShownLease extends Record<string, unknown> {
  id: string;
  name: string | null;
  state: string;
  allowed: string[];
  terminationReason: string | null;
  message: string | null;
  cpuMillis: number;
  memoryMb: number;
  diskMb: number | null;
}

const cost = ({ costMinor, currency }: Record<string, unknown>) => money(costMinor, currency);

/** Columns of a list of leases. */
export const leaseColumns: readonly Column[] = [
  { title: "Id", value: "id" },
  { title: "Name", value: "name" },
  { title: "State", value: "state" },
  { title: "Template", value: "template" },
  { title: "Image", value: "image" },
  { title: "Ends", value: "expiresAt" },
  { title: "Why", value: "terminationReason" },
  { title: "Cost", value: cost, isAmount: true },
];

interface Isolation {
  runtime: string;
  strength: string;
  network: string;
  notes: string[];
}

/** A lease for a person: what it is, when it ends, and what can be done with it. */
export function showLease(out: Output, lease: ShownLease): void {
  out.result(lease, () => {
    const isolation = lease.isolation as Isolation | null;
    const ports = lease.ports as { container: number; url: string }[];
    const head = {
      id: lease.id,
      name: lease.name,
      state: lease.state,
      endedBecause: lease.terminationReason,
      message: lease.message,
      image: lease.image,
      template: lease.template,
      command: lease.command === null ? null : shownCommand(lease.command as string[]),
      size: sizeOf(lease),
      environment: Object.keys(lease.env as object),
      ports: ports.map(({ container, url }) => `${container} at ${url}`),
      began: lease.startedAt,
      ...(lease.endedAt
        ? { ended: lease.endedAt }
        : { ends: `${readable(lease.expiresAt)} (in ${String(lease.expiresInSeconds)} s)` }),
      cost: cost(lease),
      isolation: isolation && `${isolation.strength}: ${isolation.runtime}, ${isolation.network}`,
      notes: isolation?.notes,
      canBeAsked: lease.allowed,
      version: lease.version,
    };
    const known = Object.entries(head).filter(([, value]) => !isNothing(value));
    for (const text of formatRecord(Object.fromEntries(known))) out.line(text);
  });
}

const isNothing = (value: unknown) =>
  value === null || value === undefined || (Array.isArray(value) && value.length === 0);

function sizeOf({ cpuMillis, memoryMb, diskMb }: ShownLease): string {
  const disk = diskMb === null ? "" : `, ${diskMb} MiB of disk`;
  return `${cpuMillis / 1_000} CPU, ${memoryMb} MiB${disk}`;
}

/** A command as it could be typed; words that have anything odd in them stand in quotes. */
export const shownCommand = (command: readonly string[]): string =>
  command.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");

/** A variable: `NAME=value`, or `NAME` for the one that the command line itself has. */
const variable = (text: string): [name: string, value: string | null] => {
  const at = text.indexOf("=");
  if (at === 0 || text === "") throw new UsageError("Write it as NAME=value, or NAME.");
  return at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
};

/** What can be said of a lease that is to be had, of a snapshot too. */
export const wantedOptions: readonly OptionSpec[] = [
  { flags: "--name <name>", summary: "what it is called" },
  { flags: "--ttl <time>", summary: "for how long: seconds, 30m or 2h", parse: duration },
  { flags: "--idle-ttl <time>", summary: "ends it when nobody uses it so long", parse: duration },
  { flags: "--cpu-millis <number>", summary: "CPU in thousandths", parse: integer },
  { flags: "--memory-mb <number>", summary: "memory in MiB", parse: integer },
  { flags: "--disk-mb <number>", summary: "disk in MiB", parse: integer },
  {
    flags: "--env <NAME=value>",
    summary: "a variable, or its name alone to pass it on; may be given many times",
    parse: variable,
    repeat: true,
  },
  {
    flags: "--port <port>",
    summary: "reached through the API; may be given many times",
    parse: integer,
    repeat: true,
  },
  { flags: "--max-restarts <times>", summary: "after crashes", parse: integer },
  { flags: "--snapshot-on-end", summary: "keep what it has written when it ends" },
  ...dataOptions,
];

const wantedMembers = [
  "name",
  "template",
  "preset",
  "image",
  "cpuMillis",
  "memoryMb",
  "diskMb",
  "maxRestarts",
  "snapshotOnEnd",
];

/** The body of a lease that is to be had; words besides are its command. */
export async function wantedBody(
  invocation: Invocation,
  command: readonly string[],
): Promise<Record<string, unknown>> {
  const { options, surroundings } = invocation;
  const body = await readBody(invocation, wantedMembers);
  if (options.ttl !== undefined) body.ttlSeconds = options.ttl;
  if (options.idleTtl !== undefined) body.idleTtlSeconds = options.idleTtl;
  if (options.port !== undefined) body.ports = options.port;
  if (command.length > 0) body.command = command;
  const variables = options.env as ReturnType<typeof variable>[] | undefined;
  if (variables) {
    const given = variables.map(([name, value]) => {
      const known = value ?? surroundings.env[name];
      if (known === undefined) throw new UsageError(`There is no variable ${name} to pass on`);
      return [name, known];
    });
    body.env = { ...(body.env as object | undefined), ...Object.fromEntries(given) };
  }
  return body;
}

const waitSecondsMost = 60;
const answerMs = 30_000;

/** Waits for what was asked for to be done. */
export const waitOption: OptionSpec = {
  flags: "--wait [seconds]",
  summary: `wait until it is done, ${waitSecondsMost} s at most`,
  parse: integer,
};

/** A call that waits if it is to. */
export function patient({ options }: Pick<Invocation, "options">, call: Call): Call {
  const { wait } = options;
  if (wait === undefined) return call;
  const seconds = wait === true ? waitSecondsMost : Number(wait);
  const timeoutMs = seconds * 1_000 + answerMs;
  return { ...call, query: { ...call.query, wait: seconds }, timeoutMs };
}

/** Throws where what was waited for has not come about; what there is has been shown. */
export function assertState(
  { options }: Pick<Invocation, "options">,
  one: string,
  { state, message }: { state: string; message?: string | null },
  wanted: string,
): void {
  if (options.wait === undefined || state === wanted) return;
  throw new CommandError(`The ${one} is ${oneLine(state)}`, message ? oneLine(message) : undefined);
}
