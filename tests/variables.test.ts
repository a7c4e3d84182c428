import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { services } from "../src/services.ts";

// Guards against a service that takes another one's variables for mistakes, and stops the boot.
test("the services' variables stand beside each other", async (t) => {
  const env = {
    WHATSAPP_APP_SECRET: "0123456789abcdef",
    WHATSAPP_VERIFY_TOKEN: "a token that was agreed on",
    LEASES_CURRENCY: "EUR",
  };
  await startTestApp(t, { services, env });
});
