/** The command was not given what it needs: exit code 2. */
export class UsageError extends Error {}

/** The command could not be done, for a reason that a person can read: exit code 1. */
export class CommandError extends Error {
  /** What may help, below the message. */
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** Ends the command with the exit code of a program that ran elsewhere, or of a verdict. */
export class ProgramExit extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`The program has ended with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** RFC 9457, as the server answers when it refuses. */
export interface ProblemDocument {
  title: string;
  status: number;
  detail?: string;
  code?: string;
  requestId?: string;
  errors?: { path: string; message: string }[];
  [extension: string]: unknown;
}

/** The server refused: exit code 1. */
export class ApiError extends Error {
  readonly problem: ProblemDocument;
  /** Seconds until it is worth trying again, when the server said so. */
  readonly retryAfterSeconds: number | undefined;

  constructor(problem: ProblemDocument, retryAfterSeconds?: number) {
    super(problem.title);
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
