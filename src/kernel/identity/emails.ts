import { identityErrors } from "./errors.ts";

const maxCharacters = 254;
/** Nothing that a mail header or a terminal would act on. */
const unsafe = /[\s<>"',;:\\()[\]\p{Cc}\p{Cf}]/u;
/** One @, and a dot in the domain. */
const pattern = /^[^@]{1,64}@[^@]+\.[^@.]{2,63}$/u;

/**
 * An e-mail address as it is stored and compared: trimmed, NFKC, lower case. Throws
 * ERR_IDENTITY_INVALID_EMAIL for what can't be one.
 */
export function normalEmail(typed: string, path = "/email"): string {
  const email = comparableEmail(typed);
  if (email.length > maxCharacters || unsafe.test(email) || !pattern.test(email)) {
    throw identityErrors.invalid_email({
      errors: [{ path, message: "must be an e-mail address such as name@example.com" }],
    });
  }
  return email;
}

/** The same without a check, for looking up what somebody typed at sign-in. */
export function comparableEmail(typed: string): string {
  return typed.trim().normalize("NFKC").toLowerCase();
}

/** Somebody has an account with the address in a body's `email`. */
export function emailTaken(): Error {
  return identityErrors.email_taken({ errors: [{ path: "/email", message: "is taken" }] });
}
