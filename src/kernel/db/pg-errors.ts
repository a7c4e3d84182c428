/** PostgreSQL's error as stores see it; `code` is the SQLSTATE. */
export interface PgError extends Error {
  readonly code: string;
  readonly severity?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
  readonly routine?: string;
  /** In which functions it happened. */
  readonly where?: string;
}

/** The database could not be reached, or went away: HTTP answers 503. */
export class ConnectionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ConnectionError";
  }
}

/**
 * The connection broke after COMMIT was sent and before it was answered: the work may be done or
 * not. Distinct from a rollback, since doing it again may do it twice.
 */
export class CommitUnknownError extends ConnectionError {
  constructor(options?: ErrorOptions) {
    super("The connection broke while committing; the outcome is unknown", options);
    this.name = "CommitUnknownError";
  }
}

/** The transaction was rolled back although its work returned: something in it had failed. */
export class RolledBackError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RolledBackError";
  }
}

/** True for an error that PostgreSQL itself reported. */
export function isPgError(error: unknown): error is PgError {
  return (
    error instanceof Error &&
    typeof (error as { code?: unknown }).code === "string" &&
    "severity" in error
  );
}

function hasCode(error: unknown, code: string, constraint?: string): boolean {
  return (
    isPgError(error) &&
    error.code === code &&
    (constraint === undefined || error.constraint === constraint)
  );
}

/** A row with this key is there already; `constraint` narrows it to one unique index. */
export const isUniqueViolation = (error: unknown, constraint?: string): error is PgError =>
  hasCode(error, "23505", constraint);

/**
 * For the `.catch` of a write: where the row would violate the unique `constraint`, throws the
 * problem made by `problem` instead; every other error as it is.
 */
export function onUniqueViolation(constraint: string, problem: () => Error) {
  return (error: unknown): never => {
    throw isUniqueViolation(error, constraint) ? problem() : error;
  };
}

/** The row it refers to is not there, or is still referred to. */
export const isForeignKeyViolation = (error: unknown, constraint?: string): error is PgError =>
  hasCode(error, "23503", constraint) || hasCode(error, "23001", constraint);

/** A row breaks a CHECK; with a name, that one. */
export const isCheckViolation = (error: unknown, constraint?: string): error is PgError =>
  hasCode(error, "23514", constraint);

/** A column that needs a value got none. */
export const isNotNullViolation = (error: unknown): error is PgError => hasCode(error, "23502");

/** A row overlaps another that an exclusion constraint keeps apart. */
export const isExclusionViolation = (error: unknown, constraint?: string): error is PgError =>
  hasCode(error, "23P01", constraint);

/** Row-level security or a missing grant refused it. */
export const isInsufficientPrivilege = (error: unknown): error is PgError =>
  hasCode(error, "42501");

/** The statement ran longer than statement_timeout, or was cancelled. */
export const isStatementTimeout = (error: unknown): error is PgError => hasCode(error, "57014");

/** A lock was not granted within lock_timeout, or at once under NOWAIT. */
export const isLockTimeout = (error: unknown): error is PgError => hasCode(error, "55P03");

/** Deadlock or serialization failure: the same transaction may succeed when run again. */
export const isRetryable = (error: unknown): error is PgError =>
  hasCode(error, "40P01") || hasCode(error, "40001");

/** A value that its column's type refuses: bad text for a uuid, a zero byte, out of range. */
export const isDataError = (error: unknown): error is PgError =>
  isPgError(error) && error.code.startsWith("22");

/** The server no longer has the prepared statement, after a DISCARD ALL or behind a proxy. */
export const isForgottenStatement = (error: unknown): error is PgError => hasCode(error, "26000");

/** A prepared statement no longer fits: its tables changed, or the server forgot it. */
export const isStalePlan = (error: unknown): error is PgError =>
  (hasCode(error, "0A000") && (error as PgError).routine === "RevalidateCachedQuery") ||
  isForgottenStatement(error);

/** SQLSTATEs after which the connection is gone or was never given. */
function endsConnection(code: string): boolean {
  return (
    // 08P01 too is only a mistake in a statement, such as a missing parameter, unless it is FATAL.
    (code.startsWith("08") && code !== "08P01") ||
    code === "57P01" ||
    code === "57P02" ||
    code === "57P03" ||
    code === "57P04" ||
    code === "57P05" ||
    code === "25P03" ||
    code === "25P04" ||
    code === "53300"
  );
}

/** True where an error from `pg` means that its connection can't be used again. */
export function breaksConnection(error: unknown): boolean {
  if (!isPgError(error)) return true;
  return error.severity === "FATAL" || error.severity === "PANIC" || endsConnection(error.code);
}

/** True when the database was not reached or went away; also for an unknown commit. */
export const isConnectionError = (error: unknown): error is ConnectionError =>
  error instanceof ConnectionError;
