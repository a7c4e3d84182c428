import { identityErrors } from "./errors.ts";

const maxCharacters = 254;
/** One @, a dot in the domain, and nothing that a mail header or a terminal would act on. */
const pattern = /^[^\s@<>"',;:\\()[\]\p{Cc}\p{Cf}]{1,64}@[^\s@<>"',;:\\()[\]\p{Cc}\p{Cf}]+\.[^\s@.<>"',;:\\()[\]\p{Cc}\p{Cf}]{2,63}$/u;

/**
 * An e-mail address as it is stored and compared: trimmed, NFKC, lower case. Throws
 * ERR_IDENTITY_INVALID_EMAIL for what can't be one.
 */
export function normalEmail(typed: string, path = "/email"): string {
  const email = comparableEmail(typed);
  if (email.length > maxCharacters || !pattern.test(email)) {
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
