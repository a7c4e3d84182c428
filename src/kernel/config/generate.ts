import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../random.ts";

const fileName = "secrets.json";

function readSecrets(path: string): Record<string, string> | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  const secrets = parseSecrets(text);
  if (!secrets) throw new Error(`${path} is damaged: mend it, or delete it with the database`);
  return secrets;
}

function parseSecrets(text: string): Record<string, string> | null {
  try {
    const secrets: unknown = JSON.parse(text);
    if (typeof secrets !== "object" || secrets === null) return null;
    const whole = Object.values(secrets).every((value) => typeof value === "string");
    return whole ? (secrets as Record<string, string>) : null;
  } catch {
    return null;
  }
}

/**
 * The secrets of a development machine, made at the first start and kept in the data folder,
 * readable by its owner only. Merge them below the environment: `{ ...secrets, ...env }`. Processes
 * that start at once agree, because a hard link appears whole or not at all and only once.
 */
export function loadOrCreateDevelopmentSecrets(
  dataDir: string,
  random: Random,
): Record<string, string> {
  const path = join(dataDir, fileName);
  const existing = readSecrets(path);
  if (existing) return existing;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const made = { PLIMSOLL_MASTER_KEY: random.bytes(32).toString("base64") };
  const draft = `${path}.${random.id()}`;
  writeFileSync(draft, `${JSON.stringify(made, null, 2)}\n`, {
    mode: 0o600,
    flag: "wx",
    flush: true,
  });
  try {
    linkSync(draft, path);
    return made;
  } catch (error) {
    const winner = (error as NodeJS.ErrnoException).code === "EEXIST" ? readSecrets(path) : null;
    if (!winner) throw error;
    return winner;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** A complete `.env` of fresh secrets with which a production server starts. */
export function generateProductionEnv(random: Random): string {
  const token = (bytes: number) => random.bytes(bytes).toString("base64url");
  const key = random.bytes(32).toString("base64");
  return `# Made by "plimsoll secrets generate". Keep it secret, keep a copy: without the master key
# nothing that is sealed in the database can be read again.
NODE_ENV=production
HOST=0.0.0.0
PORT=7070

# Seals every secret in the database. To change it, move the old value into
# PLIMSOLL_MASTER_KEY_PREVIOUS, put a new one here, restart, and run "plimsoll secrets rotate".
PLIMSOLL_MASTER_KEY=${key}

# The first platform admin, made at the first start. Change the address.
PLIMSOLL_ADMIN_EMAIL=admin@plimsoll.invalid
PLIMSOLL_ADMIN_PASSWORD=${token(18)}

# What Prometheus sends as a bearer token to GET /metrics.
PLIMSOLL_METRICS_TOKEN=${token(24)}

# The address that people use; also the issuer of access tokens.
# PLIMSOLL_PUBLIC_URL=https://plimsoll.example.com

# Embedded PostgreSQL in PLIMSOLL_DATA_DIR is used unless these are given. The passwords here are
# fresh; create the role with the one you keep.
# DATABASE_URL=postgres://owner:${token(24)}@db:5432/plimsoll
# REDIS_URL=redis://default:${token(24)}@redis:6379/0
# AMQP_URL=amqp://events:${token(24)}@rabbitmq:5672

# TLS_CERT_FILE=/etc/plimsoll/tls.crt
# TLS_KEY_FILE=/etc/plimsoll/tls.key
`;
}
