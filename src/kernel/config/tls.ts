import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { ConfigError } from "../config.ts";
import type { ConfigFault } from "./read.ts";

/** Throws `ConfigError` unless a server can speak TLS with these files; names them, not paths. */
export function assertTlsFiles(files: { certFile: string; keyFile: string }): void {
  const faults: ConfigFault[] = [];
  const cert = read("TLS_CERT_FILE", files.certFile, faults);
  const key = read("TLS_KEY_FILE", files.keyFile, faults);
  const check = (name: string, problem: string, options: SecureContextOptions) => {
    if (!isUsable(options)) faults.push({ name, problem });
  };
  if (cert) check("TLS_CERT_FILE", "holds no certificate in PEM", { cert });
  if (key) check("TLS_KEY_FILE", "holds no private key in PEM, or one with a passphrase", { key });
  if (cert && key && faults.length === 0) {
    check("TLS_KEY_FILE", "holds another key than that of TLS_CERT_FILE", { cert, key });
  }
  if (faults.length > 0) throw new ConfigError(faults);
}

function read(name: string, path: string, faults: ConfigFault[]): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    faults.push({ name, problem: `names a file that can't be read (${code})` });
    return null;
  }
}

function isUsable(options: SecureContextOptions): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    // OpenSSL's reason helps nobody who does not know its source.
    return false;
  }
}
