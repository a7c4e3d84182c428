import { type Static, Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

export const execSecondsMost = 300;
export const execSecondsUsual = 30;
/** Of a text in the body, which has to be whole in memory. */
export const stdinCharsMost = 1_048_576;

export const NewExec = strict(
  {
    command: Type.Array(Type.String({ maxLength: 32_768 }), {
      minItems: 1,
      maxItems: 256,
      description: "Program and arguments; no shell stands between, unless it is the program.",
      examples: [["ls", "-l", "/workspace"]],
    }),
    timeoutSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: execSecondsMost,
        description: `Ends it and all that it has started; ${execSecondsUsual} unless given.`,
        examples: [30],
      }),
    ),
    stdin: Type.Optional(
      Type.String({
        maxLength: stdinCharsMost,
        description: "What it reads, in UTF-8; nothing without it.",
        examples: ["print(6 * 7)\n"],
      }),
    ),
  },
  {
    title: "NewLeaseExec",
    examples: [{ command: ["sh", "-c", "uname -a; id"], timeoutSeconds: 10 }],
  },
);
export type NewExec = Static<typeof NewExec>;

const output = (of: string, example: string) =>
  Type.String({ description: `What it wrote to ${of}, up to 1 MiB.`, examples: [example] });

/** What became of a program that was run in a container. */
export const Exec = strict(
  {
    exitCode: Type.Union([Type.Integer(), Type.Null()], {
      description: "Null where it was ended: by its time, or since its container went away.",
      examples: [0],
    }),
    stdout: output("standard output", "uid=65534(nobody) gid=65534(nogroup)\n"),
    stderr: output("standard error", ""),
    truncated: Type.Boolean({
      description: "True where it wrote more than is shown; the rest was thrown away.",
      examples: [false],
    }),
    timedOut: Type.Boolean({ examples: [false] }),
  },
  {
    title: "LeaseExec",
    description: "Outputs are read as UTF-8; bytes that are none stand there as U+FFFD.",
  },
);
export type Exec = Static<typeof Exec>;
