import { Ajv, type ErrorObject, type Options, type ValidateFunction } from "ajv";
import formatsPlugin from "ajv-formats";
import type { FastifySchemaCompiler } from "fastify";
import { type FieldError, requestErrors } from "../errors.ts";
import { uuidPattern } from "../random.ts";
import { pointerStep } from "./json.ts";

const FIELD_ERRORS_MAX = 20;
/**
 * Beyond this many values only the first fault is named: naming all costs more than reading them.
 */
const VALUES_FULLY_CHECKED_MAX = 1_000;

const common: Options = {
  strict: true,
  strictTypes: false,
  strictTuples: false,
  useDefaults: true,
  removeAdditional: false,
  verbose: true,
  addUsedSchema: false,
};

/** Bodies say what they mean by JSON's types; addresses have only text. */
const bodyOptions: Options = { ...common, coerceTypes: false };
const textOptions: Options = { ...common, coerceTypes: true };

/** Which part of a request: "body", "params", "querystring" or "headers". */
type Part = string | undefined;

/** What a fault's path begins with: the part as OpenAPI calls it, or nothing for the body. */
const partNames: Readonly<Record<string, string>> = {
  params: "path",
  querystring: "query",
  headers: "header",
};

/**
 * Compiles schemas for Fastify. A refusal is the `invalid` problem (422) with up to 20 faults, each
 * with its path: a JSON Pointer into the body, or `query/limit`.
 */
export function createValidatorCompiler(): FastifySchemaCompiler<unknown> {
  const body = withFormats(new Ajv(bodyOptions));
  const text = withFormats(new Ajv(textOptions));
  const bodyFully = withFormats(new Ajv({ ...bodyOptions, allErrors: true }));
  const textFully = withFormats(new Ajv({ ...textOptions, allErrors: true }));
  return ({ schema, httpPart }) => {
    const part: Part = httpPart;
    const quick = (part === "body" ? body : text).compile(schema as object);
    const numbers = part === "body" ? [] : numbersOf(schema as TextSchema);
    let full: ValidateFunction | null = null;
    const validate = (value: unknown) => {
      for (const [name, plain] of numbers) refuseOddNumber(value as TextMembers, name, plain);
      if (quick(value)) return true;
      let faults = quick.errors ?? [];
      if (countValues(value, VALUES_FULLY_CHECKED_MAX) < VALUES_FULLY_CHECKED_MAX) {
        full ??= (part === "body" ? bodyFully : textFully).compile(schema as object);
        full(value);
        faults = full.errors ?? faults;
      }
      return { error: requestErrors.invalid({ errors: fieldErrors(faults, part) }) };
    };
    return validate;
  };
}

type TextSchema = { properties?: Readonly<Record<string, { type?: string }>> };
type TextMembers = Record<string, unknown>;

const plainNumbers: Readonly<Record<string, RegExp>> = {
  integer: /^-?\d+$/,
  number: /^-?\d+(\.\d+)?$/,
};

function numbersOf({ properties = {} }: TextSchema): [name: string, plain: RegExp][] {
  return Object.entries(properties).flatMap(([name, { type }]): [string, RegExp][] => {
    const plain = plainNumbers[type ?? ""];
    return plain ? [[name, plain]] : [];
  });
}

/**
 * Ajv reads text as JavaScript does: `1e1`, `0x10` and ` 7 ` would be numbers too. What isn't
 * written in plain decimal digits becomes what Ajv takes for no number.
 */
function refuseOddNumber(members: TextMembers, name: string, plain: RegExp): void {
  const text = members[name];
  if (typeof text === "string" && !plain.test(text)) members[name] = Number.NaN;
}

/**
 * The formats of ajv-formats, with uuid as PostgreSQL takes it: not the `urn:uuid:` one. And the
 * annotation `x-must`: what a pattern asks for, in words that go on after "must".
 */
export function withFormats(ajv: Ajv): Ajv {
  formatsPlugin.default(ajv);
  ajv.addVocabulary([mustKeyword]);
  ajv.addFormat("uuid", new RegExp(uuidPattern, "i"));
  return ajv;
}

function countValues(value: unknown, limit: number): number {
  const waiting: unknown[] = [value];
  let count = 0;
  while (waiting.length > 0 && count < limit) {
    const next = waiting.pop();
    count += 1;
    if (typeof next !== "object" || next === null) continue;
    for (const inner of Object.values(next)) {
      if (count + waiting.length >= limit) return limit;
      waiting.push(inner);
    }
  }
  return count;
}

function fieldErrors(faults: readonly ErrorObject[], part: Part): FieldError[] {
  const unions = faults.filter(({ keyword }) => keyword === "anyOf" || keyword === "oneOf");
  const nullables = unions.filter(isNullable);
  const others = unions.filter((union) => !nullables.includes(union));
  const found = new Map<string, FieldError>();
  for (const fault of faults) {
    const nullable = nullables.find((union) => isInside(union, fault));
    if (fault.keyword === "if" || nullables.includes(fault) || isBranchOf(others, fault)) continue;
    if (nullable && fault.keyword === "type" && fault.params.type === "null") continue;
    const path = pathOf(fault, part);
    const orNull = nullable && fault.keyword === "type" && isSameValue(nullable, fault);
    const message = orNull ? `${messageOf(fault)} or null` : messageOf(fault);
    found.set(`${path} ${message}`, { path, message });
    if (found.size === FIELD_ERRORS_MAX) break;
  }
  return [...found.values()];
}

/** One kind or null: what is wrong is wrong with that kind. */
function isNullable({ schema }: ErrorObject): boolean {
  const branches = schema as { const?: unknown; type?: unknown }[];
  const kinds = branches.filter(({ type }) => type !== "null");
  return branches.length === 2 && kinds.length === 1 && !("const" in (kinds[0] ?? {}));
}

const isInside = (union: ErrorObject, fault: ErrorObject) =>
  union !== fault && fault.schemaPath.startsWith(`${union.schemaPath}/`);

const isSameValue = (a: ErrorObject, b: ErrorObject) => a.instancePath === b.instancePath;

/** That a value is none of a union's branches is said once, not once for every branch. */
function isBranchOf(unions: readonly ErrorObject[], fault: ErrorObject): boolean {
  return unions.some(
    (union) =>
      isInside(union, fault) &&
      isSameValue(union, fault) &&
      fault.keyword !== "required" &&
      fault.keyword !== "additionalProperties",
  );
}

function pathOf(fault: ErrorObject, part: Part): string {
  const member: unknown = fault.params.additionalProperty ?? fault.params.missingProperty;
  const step = typeof member === "string" ? `/${pointerStep(member)}` : "";
  return `${partNames[part ?? ""] ?? ""}${fault.instancePath}${step}`;
}

const mustKeyword = "x-must";

/** What a text of a format is, for people. */
const formatWords: Readonly<Record<string, string>> = {
  "date-time": 'a moment with its zone, such as "2026-11-20T12:00:00Z"',
  date: 'a day, such as "2026-11-20"',
  uuid: 'a UUID, such as "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a"',
  email: 'an e-mail address, such as "ada@example.com"',
  uri: 'an absolute address, such as "https://example.com/"',
};

/** What a pattern asks for, as its schema says; nobody should have to read the pattern itself. */
function shapeOf({ parentSchema }: ErrorObject): string {
  const { [mustKeyword]: must, examples } = (parentSchema ?? {}) as Record<string, unknown>;
  if (typeof must === "string") return `must ${must}`;
  const [example] = Array.isArray(examples) ? (examples as unknown[]) : [];
  if (typeof example === "string") return `must look like ${JSON.stringify(example)}`;
  return "has a form that is not allowed here";
}

function messageOf(fault: ErrorObject): string {
  switch (fault.keyword) {
    case "pattern":
      return shapeOf(fault);
    case "format":
      return `must be ${formatWords[fault.schema as string] ?? `of the format ${fault.schema}`}`;
    case "additionalProperties":
    case "unevaluatedProperties":
      return "is not a member that is known here";
    case "required":
      return "is required";
    case "enum":
    case "const":
      return `must be ${oneOf(fault.keyword === "enum" ? fault.schema : [fault.schema])}`;
    case "anyOf":
    case "oneOf": {
      const branches = (fault.schema as { const?: unknown; type?: unknown }[]) ?? [];
      if (branches.every((branch) => "const" in branch || branch.type === "null")) {
        return `must be ${oneOf(branches.map((branch) => branch.const ?? null))}`;
      }
      return "must be of one of the kinds that are allowed here";
    }
    default:
      return fault.message ?? "is not valid";
  }
}

function oneOf(values: unknown): string {
  const texts = (values as unknown[]).map((value) => JSON.stringify(value));
  return texts.length === 1 ? (texts[0] as string) : `one of ${texts.join(", ")}`;
}
