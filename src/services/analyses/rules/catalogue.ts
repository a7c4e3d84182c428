import { deliveryRules } from "./delivery.ts";
import { maintainabilityRules } from "./maintainability.ts";
import { protectionRules } from "./protection.ts";
import { reliabilityRules } from "./reliability.ts";
import type { Rule } from "./rule.ts";
import { securityRules } from "./security.ts";

/** Every rule there is. */
export const rules: readonly Rule[] = [
  ...securityRules,
  ...protectionRules,
  ...reliabilityRules,
  ...maintainabilityRules,
  ...deliveryRules,
];
