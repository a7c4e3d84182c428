import { type Static, Type } from "typebox";
import { Id, strict } from "#kernel/http/schemas.ts";
import { labelSizes } from "../rules/documents.ts";

/** How a label is to be printed. */
export const LabelOptions = strict({
  shopId: Type.Optional({ ...Id, description: "Prints the shop's name and address." }),
  price: Type.Boolean({
    default: false,
    description: "Prints the price, in the currency of the shop.",
    examples: [true],
  }),
  size: Type.Enum(Object.keys(labelSizes) as (keyof typeof labelSizes)[], {
    default: "100x62",
    description: "Width and height in millimetres.",
    examples: ["100x62"],
  }),
  smallPack: Type.Boolean({
    default: false,
    description: "The pack's largest side is below 80 cm²: letters may be 0.9 mm high, not 1.2.",
    examples: [false],
  }),
  acknowledgeAllergens: Type.Boolean({
    default: false,
    description: "Prints a label whose ingredients name allergens that the product does not have.",
    examples: [false],
  }),
});
export type LabelOptions = Static<typeof LabelOptions>;

/** How an invoice is to be printed. */
export const InvoiceOptions = strict({
  substitute: Type.Boolean({
    default: false,
    description: "Prints a mark for each character that the typeface lacks, else it is refused.",
    examples: [false],
  }),
});

/** Answers of what is printed: a PDF, or that one has it already. */
export const pdfAnswers = (description: string) => ({
  200: {
    description,
    content: { "application/pdf": { schema: { type: "string", format: "binary" } } },
  },
  304: Type.Null({ description: "What If-None-Match names is current." }),
});
