import { any, onLines, programs, type Rule } from "./rule.ts";

const secretName = "(token|secret|password|passwd|salt|nonce|otp|session|api_?key)";
const guessable =
  "(Math\\.random\\(|\\brandom\\.(random|randint|choice)\\(|\\brand\\.(Intn?|Int63)\\(" +
  "|new Random\\(|\\bmt_rand\\(|[^_\\w]rand\\()";
const guessableSecret = new RegExp(`${secretName}\\w*\\s*(:\\s*\\w+\\s*)?:?=.*${guessable}`, "i");

const fetching = "(fetch|get|post|curl|wget|axios\\S*|requests\\.\\w+|urlopen)";
const fetchedPlain = new RegExp(`\\b${fetching}\\b.{0,20}["'\\s(]http://[a-z0-9]`, "i");

/** Protection that is weak, or switched off. */
export const protectionRules: readonly Rule[] = [
  {
    id: "tls-checks-disabled",
    category: "security",
    severity: "high",
    title: "Certificates are not checked",
    explanation: "Without the check, anybody on the way can answer in the place of the server.",
    suggestion: "Trust the certificate's authority instead of every certificate.",
    file: onLines({
      pattern: any(
        /rejectUnauthorized\s*:\s*false|NODE_TLS_REJECT_UNAUTHORIZED["']?\]?\s*[:=]\s*["']?0/,
        /verify\s*=\s*False|InsecureSkipVerify\s*:\s*true/,
        /CURLOPT_SSL_VERIFYPEER\s*,\s*(false|0)|VERIFY_NONE|_create_unverified_context/,
        /danger_accept_invalid_certs\(true/,
      ),
      unless: /\.md$/,
      languages: [...programs, "YAML", "Shell", "Dockerfile"],
    }),
  },
  {
    id: "weak-hash",
    category: "security",
    severity: "medium",
    title: "MD5 or SHA-1 is used",
    explanation: "Two texts with the same hash can be made at will.",
    suggestion: "Use SHA-256; for passwords Argon2, scrypt or bcrypt.",
    file: onLines({
      languages: programs,
      pattern: any(
        /createHash\(\s*["'](md5|sha1)["']|hashlib\.(md5|sha1)\(|\b(md5|sha1)\.(New|Sum)\b/,
        /MessageDigest\.getInstance\(\s*"(MD5|SHA-?1)"|\b(MD5|SHA1)\.(Create|HashData)/,
        /Digest::(MD5|SHA1)|[^\w>]md5\(\s*\$/,
      ),
    }),
  },
  {
    id: "weak-cipher",
    category: "security",
    severity: "high",
    title: "A broken cipher or mode is used",
    explanation: "DES and RC4 can be broken, and ECB shows which blocks are equal.",
    suggestion: "Use AES-256-GCM or ChaCha20-Poly1305.",
    file: onLines({
      languages: programs,
      pattern: any(
        /createCipher(iv)?\(\s*["'](des|rc4|[\w-]*ecb)|\bDES(ede)?\/|AES\/ECB/i,
        /"(DES|RC4|ARCFOUR)"|\b(des|rc4)\.New(Triple)?(DES)?Cipher|MODE_ECB|ARC4\.new/i,
        /CipherMode\.ECB|DES\.new\(/i,
      ),
    }),
  },
  {
    id: "weak-random",
    category: "security",
    severity: "high",
    title: "A secret is made from guessable chance",
    explanation: "These generators can be predicted from a few of their numbers.",
    suggestion: "Use the system's cryptographic generator.",
    file: onLines({
      languages: programs,
      pattern: guessableSecret,
      unless: /SystemRandom|SecureRandom/,
    }),
  },
  {
    id: "jwt-unverified",
    category: "security",
    severity: "critical",
    title: "Tokens are read without their signature",
    explanation: "Anybody can write a token that says who they would like to be.",
    suggestion: "Verify with a list of allowed algorithms, an issuer and an audience.",
    file: onLines({
      languages: programs,
      pattern: any(
        /algorithms?["']?\s*[:=]\s*\[?\s*["']none["']/,
        /verify_signature["']?\s*[:=]\s*(False|false)/,
        /jwt\.decode\([^)]*verify\s*[:=]\s*(False|false)|ParseUnverified\(/,
        /JWT\.decode\([^)]*,\s*nil,\s*false/,
      ),
    }),
  },
  {
    id: "cookie-unprotected",
    category: "security",
    severity: "medium",
    title: "A cookie gives up its protection",
    explanation:
      "Scripts can read a cookie without httpOnly, and anybody on the way one without secure.",
    suggestion: "Set httpOnly, secure and sameSite.",
    file: onLines({
      languages: programs,
      pattern: any(
        /\bhttpOnly\s*:\s*false|\bsecure\s*:\s*false/,
        /(SESSION|CSRF)_COOKIE_(SECURE|HTTPONLY)\s*=\s*False/,
        /\b(HttpOnly|Secure)\s*[:=]\s*false|set(HttpOnly|Secure)\(\s*false/,
      ),
    }),
  },
  {
    id: "plain-http",
    category: "security",
    severity: "low",
    title: "Something is fetched without TLS",
    explanation: "Whoever is on the way can read and change the answer.",
    suggestion: "Use https.",
    file: onLines({
      languages: [...programs, "Dockerfile", "Shell"],
      pattern: fetchedPlain,
      unless: /http:\/\/(localhost|127\.|0\.0\.0\.0|\[?::1|host\.docker|[a-z0-9-]+([:/"'`]|$))/i,
    }),
  },
];
