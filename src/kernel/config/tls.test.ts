import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConfigError } from "../config.ts";
import { selfSigned } from "../testing/certificate.ts";
import { assertTlsFiles } from "./tls.ts";

function files(t: TestContext, contents: Record<string, string>): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-tls-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(folder, name), text);
  return (name) => join(folder, name);
}

// Guards against an operator who is shown a stack, or OpenSSL's words, for a file that is wrong.
test("TLS files that can't be used are faults by name, without their paths", (t) => {
  const one = selfSigned("one.test");
  const other = selfSigned("other.test");
  const at = files(t, { cert: one.cert, key: one.key, otherKey: other.key, junk: "junk" });
  const cases = [
    ["absent", "absent", { TLS_CERT_FILE: /can't be read.*ENOENT/, TLS_KEY_FILE: /ENOENT/ }],
    ["", "key", { TLS_CERT_FILE: /can't be read.*EISDIR/ }],
    ["junk", "key", { TLS_CERT_FILE: /no certificate in PEM/ }],
    ["cert", "junk", { TLS_KEY_FILE: /no private key in PEM/ }],
    ["cert", "otherKey", { TLS_KEY_FILE: /another key.*TLS_CERT_FILE/ }],
  ] as const;
  for (const [certFile, keyFile, expected] of cases) {
    assert.throws(
      () => assertTlsFiles({ certFile: at(certFile), keyFile: at(keyFile) }),
      (error) => {
        assert.ok(error instanceof ConfigError, String(error));
        assert.deepEqual(
          error.faults.map(({ name }) => name),
          Object.keys(expected),
        );
        for (const { name, problem } of error.faults) {
          assert.match(problem, (expected as Record<string, RegExp>)[name] as RegExp);
        }
        assert.ok(!error.message.includes(at("")), "the message shows a path");
        return true;
      },
    );
  }
  assertTlsFiles({ certFile: at("cert"), keyFile: at("key") });
});
