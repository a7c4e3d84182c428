import { type Static, type TSchema, Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";
import { levelNames } from "../rules/history.ts";

/** The same, or null. */
export function orNull<Schema extends TSchema>(schema: Schema) {
  const { enum: values, type } = schema as { enum?: readonly unknown[]; type?: string };
  return Type.Unsafe<Static<Schema> | null>({
    ...schema,
    ...(type !== undefined && { type: [type, "null"] }),
    ...(values && { enum: [...values, null] }),
  });
}

/** A whole number within bounds. */
export const whole = (minimum: number, maximum: number, says: string, example: number) =>
  Type.Integer({ minimum, maximum, description: says, examples: [example] });

/** A number in an answer. */
export const amount = (says: string, example: number) =>
  Type.Number({ description: says, examples: [example] });

export const Level = Type.Enum([...levelNames], {
  description: "The guarantee that was asked for.",
  examples: ["strong"],
});

export const LogVersion = strict(
  {
    term: whole(0, Number.MAX_SAFE_INTEGER, "Who led when it was written.", 1),
    seq: whole(0, Number.MAX_SAFE_INTEGER, "Its place in the log.", 17),
  },
  { title: "LogVersion", description: "Where a write stands: compared by term, then by seq." },
);

export const ReplicaName = Type.String({
  minLength: 1,
  maxLength: 100,
  description: "A replica, as the status calls it.",
  examples: ["n1"],
});

export const VerdictStatus = Type.Enum(["ok", "violation", "unknown"], {
  description: "`unknown` is never good.",
  examples: ["ok"],
});
