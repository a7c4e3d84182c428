import { Type } from "typebox";
import { Id, strict } from "#kernel/http/schemas.ts";
import { Port } from "./common.ts";

export const PortPath = strict({
  id: Id,
  port: Port,
  "*": Type.String({
    description: "What is asked of the program there.",
    examples: ["index.html"],
  }),
});
