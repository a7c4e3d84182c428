import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { type CommandEntry, commandEntries } from "./commands.ts";
import { ProgramExit, UsageError } from "./errors.ts";
import { createOutput } from "./output.ts";
import { addCommand } from "./program.ts";
import type { Surroundings } from "./surroundings.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const exitGood = 0;
const exitFailed = 1;
const exitUsage = 2;
const defaultApi = "http://127.0.0.1:7070";

const environmentHelp = `
Environment:
  PLIMSOLL_API      address of the server (default ${defaultApi})
  PLIMSOLL_API_KEY  an API key, used instead of whoever is signed in
  NO_COLOR          no colours`;

/** Runs one command line, without the program's name; resolves with the exit code. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const program = createProgram(surroundings);
  // What comes after -- is somebody else's.
  const end = argv.indexOf("--");
  const own = end === -1 ? argv : argv.slice(0, end);
  const isJson = own.includes("--json");
  try {
    const chosen = chosenEntry(argv);
    const invoke = (spec: CommandSpec, given: Pick<Invocation, "args" | "options">) =>
      runCommand(spec, given, surroundings);
    for (const entry of commandEntries) {
      if (entry === chosen) addCommand(program, await entry.load(), invoke);
      else program.command(entry.name).description(entry.summary);
    }
    await program.parseAsync([...argv], { from: "user" });
    return exitGood;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitGood : exitUsage;
    if (error instanceof ProgramExit) return error.exitCode;
    const out = createOutput(surroundings, { json: isJson, color: !own.includes("--no-color") });
    out.error(error);
    return error instanceof UsageError ? exitUsage : exitFailed;
  }
}

function createProgram({ env, stdout, stderr }: Surroundings): Command {
  const hasColour = (stream: NodeJS.WriteStream) => stream.isTTY === true && !env.NO_COLOR;
  return new Command("plimsoll")
    .description("The command line of Plimsoll, a multi-tenant service platform.")
    .version(`plimsoll ${readVersion()}`)
    .option("--api <url>", "address of the server")
    .option("--json", "answer with JSON, for programs")
    .option("--no-color", "no colours")
    .addHelpText("after", environmentHelp)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      getOutHasColors: () => hasColour(stdout),
      getErrHasColors: () => hasColour(stderr),
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
    })
    .showHelpAfterError("(plimsoll help shows what there is)")
    .exitOverride();
}

function readVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")).version;
}

/** The command that is called: the first word that is no option, nor the value of one. */
function chosenEntry(argv: readonly string[]): CommandEntry | undefined {
  const words = argv.filter((word, at) => !word.startsWith("-") && argv[at - 1] !== "--api");
  const name = words[0] === "help" ? words[1] : words[0];
  return commandEntries.find((entry) => entry.name === name);
}

async function runCommand(
  spec: CommandSpec,
  { args, options }: Pick<Invocation, "args" | "options">,
  surroundings: Surroundings,
): Promise<void> {
  const { env, homeDir } = surroundings;
  const [{ createClient }, { createCredentialStore }, { systemClock }] = await Promise.all([
    import("./client.ts"),
    import("./credentials.ts"),
    import("#kernel/clock.ts"),
  ]);
  const out = createOutput(surroundings, {
    json: options.json === true,
    color: options.color !== false,
  });
  const client = createClient({
    api: typeof options.api === "string" ? options.api : env.PLIMSOLL_API || defaultApi,
    apiKey: env.PLIMSOLL_API_KEY || undefined,
    store: createCredentialStore(join(homeDir, ".plimsoll"), systemClock),
    clock: systemClock,
  });
  await spec.run?.({ args, options, client, out, surroundings });
}

if (import.meta.main) {
  // A reader that has seen enough (`| head`) is no fault.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? exitGood : exitFailed);
  });
  const { env, stdin, stdout, stderr } = process;
  const surroundings = { env, homeDir: homedir(), stdin, stdout, stderr };
  process.exitCode = await run(process.argv.slice(2), surroundings);
}
