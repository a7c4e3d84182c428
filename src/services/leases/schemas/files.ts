import { type Static, Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

const Path = Type.String({
  minLength: 1,
  maxLength: 4_096,
  description: "In the container; one that does not begin with / is below /workspace.",
  examples: ["/workspace/report.csv"],
});
const exampleSum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

export const FileQuery = strict({ path: Path });

export const NewFileQuery = strict({
  path: Path,
  sha256: Type.Optional(
    Type.String({
      pattern: "^[0-9a-fA-F]{64}$",
      description: "Of what is sent, in hex; a file with another one is not kept.",
      examples: [exampleSum],
    }),
  ),
});
export type NewFileQuery = Static<typeof NewFileQuery>;

/** A file as it was written into a container. */
export const WrittenFile = strict(
  {
    path: Path,
    sizeBytes: Type.Integer({ minimum: 0, examples: [4] }),
    sha256: Type.String({ pattern: "^[0-9a-f]{64}$", examples: [exampleSum] }),
  },
  { title: "LeaseFile" },
);
export type WrittenFile = Static<typeof WrittenFile>;
