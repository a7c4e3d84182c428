import type { ConfigFault } from "#kernel/config/read.ts";
import { ConfigError } from "#kernel/config.ts";

/** The Meta app whose messages this server takes. */
export interface WhatsappConfig {
  /** Signs what Meta sends. */
  appSecret: string;
  /** What Meta says when it is told of this server's address. */
  verifyToken: string;
  /** Where answers go, without a slash at the end. */
  graphUrl: string;
}

export const whatsappVariables = [
  "WHATSAPP_APP_SECRET",
  "WHATSAPP_VERIFY_TOKEN",
  "WHATSAPP_GRAPH_URL",
] as const;

const secretCharsLeast = 16;
const graphUrl = "https://graph.facebook.com/v24.0";

/** Null: WhatsApp is off. Throws `ConfigError` naming every fault. */
export function whatsappConfigOf(
  variables: Readonly<Record<string, string>>,
): WhatsappConfig | null {
  const given = whatsappVariables.filter((name) => variables[name] !== undefined);
  if (given.length === 0) return null;
  const faults: ConfigFault[] = [];
  const secretOf = (name: (typeof whatsappVariables)[number]) => {
    const secret = variables[name] ?? "";
    if (secret === "") faults.push({ name, problem: `is missing, and ${given[0]} is there` });
    else if (secret.length < secretCharsLeast) {
      faults.push({ name, problem: `must have at least ${secretCharsLeast} characters` });
    }
    return secret;
  };
  const config = {
    appSecret: secretOf("WHATSAPP_APP_SECRET"),
    verifyToken: secretOf("WHATSAPP_VERIFY_TOKEN"),
    graphUrl: (variables.WHATSAPP_GRAPH_URL ?? graphUrl).replace(/\/$/, ""),
  };
  if (!/^https?:\/\/[^\s?#]+$/.test(config.graphUrl) || !URL.canParse(config.graphUrl)) {
    faults.push({ name: "WHATSAPP_GRAPH_URL", problem: "must be an http or https address" });
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}
