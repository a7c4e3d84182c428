import { type Static, type TSchema, Type } from "typebox";
import { exampleId, line, strict, text } from "#kernel/http/schemas.ts";
import { envNamesMost } from "../rules/request.ts";

/** The same as an example shows it that has none. */
export const orNone = <Schema extends TSchema>(schema: Schema) =>
  orNull({ ...schema, examples: [null] });

/** The same, or null, which says that there is none. */
export function orNull<Schema extends TSchema>(schema: Schema) {
  const { enum: values, type } = schema as { enum?: readonly unknown[]; type?: string };
  return Type.Unsafe<Static<Schema> | null>({
    ...schema,
    ...(type !== undefined && { type: [type, "null"] }),
    ...(values && { enum: [...values, null] }),
  });
}

export const title = line(100, "For people.", "Build of main");
export const description = text(500, "What it is for.", "A shell with our tools");

export const Command = Type.Array(Type.String({ minLength: 1, maxLength: 4_096 }), {
  minItems: 1,
  maxItems: 64,
  description: "Program and arguments, instead of the image's own.",
  examples: [["sleep", "600"]],
});

export const Image = Type.String({
  minLength: 1,
  maxLength: 300,
  description: "An image that may be leased, with a tag or a digest.",
  examples: ["alpine:3.20"],
});

const whole = (minimum: number, maximum: number, says: string, example: number) =>
  Type.Integer({ minimum, maximum, description: says, examples: [example] });

export const CpuMillis = whole(1, 256_000, "CPU in thousandths.", 500);
export const MemoryMb = whole(1, 4_194_304, "Memory in MiB.", 512);
export const DiskMb = whole(1, 16_777_216, "Disk in MiB.", 1_024);
export const TtlSeconds = whole(1, 31_536_000, "For how long it lives.", 1_800);
export const IdleTtlSeconds = whole(
  1,
  31_536_000,
  "After how long without exec, attach or keepalive it ends.",
  600,
);
export const MaxRestarts = whole(
  0,
  10,
  "How often it is started again after its program crashed.",
  3,
);

export const Port = whole(1, 65_535, "A port in the container.", 8_080);
export const Ports = Type.Array(Port, {
  maxItems: 16,
  uniqueItems: true,
  description: "Ports that are reached through the API.",
  examples: [[8_080]],
});

export const PreStop = strict(
  {
    command: Command,
    timeoutSeconds: whole(1, 60, "It is given up after this.", 10),
  },
  { description: "Run in the container before it is stopped." },
);

export const Environment = Type.Record(
  Type.String({ maxLength: 128 }),
  Type.String({ maxLength: 32_768 }),
  {
    maxProperties: envNamesMost,
    description: "Environment variables. Sealed when stored, and never shown.",
    examples: [{ TOKEN: "s3cr3t" }],
  },
);

/** What stands in an answer for the value of an environment variable. */
export const maskedValue = "••••";
export const MaskedEnvironment = Type.Record(Type.String(), Type.String(), {
  description: "Names of the environment variables; values are never shown.",
  examples: [{ TOKEN: maskedValue }],
});

export const OwnerId = Type.String({ maxLength: 100, examples: [exampleId] });
export const Minor = Type.Integer({
  minimum: 0,
  description: "In the currency's smallest unit.",
  examples: [4],
});
/** Exact, and as text since it may be more than a number holds. */
export const Micros = Type.String({
  pattern: "^[0-9]{1,40}$",
  description: "Exactly, in millionths of the smallest unit.",
  examples: ["3600000"],
});
