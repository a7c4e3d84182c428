import { type Static, Type } from "typebox";
import { strict, Timestamp } from "#kernel/http/schemas.ts";
import { orNull } from "./common.ts";

const bytes = (description: string, example: number) =>
  orNull(Type.Integer({ minimum: 0, description, examples: [example] }));

/** What a container uses at a moment. */
export const Stats = strict(
  {
    at: Timestamp,
    cpuSeconds: orNull(
      Type.Number({
        minimum: 0,
        description: "Of the processor, since the container started.",
        examples: [12.5],
      }),
    ),
    memoryBytes: bytes("In use.", 41_943_040),
    memoryLimitBytes: Type.Integer({ minimum: 0, examples: [536_870_912] }),
    pids: orNull(Type.Integer({ minimum: 0, description: "Processes.", examples: [3] })),
    networkInBytes: bytes("Since the container started.", 2_048),
    networkOutBytes: bytes("Since the container started.", 1_024),
    diskBytes: bytes("Written.", 8_192),
  },
  { title: "LeaseStats", description: "Null stands for what the engine does not tell." },
);
export type Stats = Static<typeof Stats>;
