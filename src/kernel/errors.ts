/**
 * One faulty member of an input. `path` is a JSON Pointer (RFC 6901): into the body as it is
 * (`/items/0/quantity`), into another part after that part's name (`query/limit`, `path/id`,
 * `header/last-event-id`).
 */
export interface FieldError {
  path: string;
  message: string;
}

export interface ProblemOptions {
  /** What happened, with the value, and what to do. Public. */
  detail?: string;
  errors?: FieldError[];
  /** Response headers, such as `retry-after`. */
  headers?: Record<string, string>;
  /** Further public members of the problem document, which the catalogue's entry declares. */
  extensions?: Record<string, unknown>;
  /** Private: only logged. */
  cause?: unknown;
}

export interface ErrorEntry {
  status: number;
  /** One sentence that is the same for every occurrence. */
  title: string;
  /** What its problem documents may have besides the members of all: a JSON Schema each. */
  members?: Readonly<Record<string, object>>;
}

/** An error that may be shown to the caller; its `cause` may not. RFC 9457. */
export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly options: ProblemOptions;

  constructor(code: string, entry: ErrorEntry, options: ProblemOptions = {}) {
    super(options.detail ?? entry.title, { cause: options.cause });
    this.name = "Problem";
    this.code = code;
    this.status = entry.status;
    this.title = entry.title;
    this.options = options;
  }
}

type Plain = Omit<ProblemOptions, "extensions">;

/** Only what the entry declares can be told. */
type OptionsOf<Entry> = Entry extends { members: infer Members }
  ? Plain & { extensions?: { readonly [Name in keyof Members]?: unknown } }
  : Plain & { extensions?: undefined };

interface Listed {
  readonly code: string;
  readonly entry: ErrorEntry;
}

export type ErrorsOf<Entries> = {
  readonly [Name in keyof Entries & string]: ((options?: OptionsOf<Entries[Name]>) => Problem) &
    Listed;
};

/** Any catalogue, as documentation lists it. */
export type ErrorCatalogue = Readonly<Record<string, Listed>>;

/**
 * Declares a service's closed set of errors; `quota_exceeded` of "leases" gets the stable code
 * `ERR_LEASES_QUOTA_EXCEEDED`. Throw what the entries return:
 * `throw leaseErrors.quota_exceeded({ detail })`.
 */
export function defineErrors<const Entries extends Record<string, ErrorEntry>>(
  area: string,
  entries: Entries,
): ErrorsOf<Entries> {
  const catalogue: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(entries)) {
    const code = `ERR_${area}_${name}`.toUpperCase();
    const make = (options?: ProblemOptions) => new Problem(code, entry, options);
    catalogue[name] = Object.assign(make, { code, entry });
  }
  return catalogue as ErrorsOf<Entries>;
}

/** Errors of any operation; `http/problem.ts` turns the framework's own into these. */
export const requestErrors = defineErrors("request", {
  malformed: { status: 400, title: "The request could not be read" },
  invalid: { status: 422, title: "The request has members that are not valid" },
  expectation_failed: { status: 417, title: "What the request expects is not offered" },
  unsupported_media_type: { status: 415, title: "The content type is not supported" },
  too_large: { status: 413, title: "The request body is larger than allowed" },
  too_deep: { status: 400, title: "The request body is nested deeper than allowed" },
  timeout: { status: 408, title: "The request took too long to arrive" },
  not_found: { status: 404, title: "There is no such resource" },
  method_not_allowed: { status: 405, title: "The resource does not allow this method" },
  bad_cursor: { status: 400, title: "The cursor is not one that this list has issued" },
  upgrade_required: { status: 426, title: "The operation is a WebSocket" },
  version_required: { status: 428, title: "The request must say which version it changes" },
  version_conflict: { status: 412, title: "The resource has changed since it was read" },
  rate_limited: { status: 429, title: "Too many requests" },
  idempotency_key_reused: { status: 422, title: "The idempotency key belongs to another request" },
  idempotency_in_flight: { status: 409, title: "The same request is still being worked on" },
  bad_idempotency_key: { status: 400, title: "The idempotency key is not valid" },
  conflict: { status: 409, title: "The request conflicts with what is already stored" },
  unavailable: { status: 503, title: "A dependency is not available" },
  internal: { status: 500, title: "Something went wrong on our side" },
});
