import { accessErrors } from "./access/errors.ts";
import { type ErrorCatalogue, requestErrors } from "./errors.ts";
import { eventErrors } from "./events/catalogue.ts";
import { webhookErrors } from "./events/webhooks.ts";
import { identityErrors } from "./identity/errors.ts";
import { flagErrors } from "./flags-store.ts";
import { faultErrors } from "./resilience/faults.ts";
import { outgoingErrors } from "./resilience/outgoing-errors.ts";
import { dependencyErrors } from "./resilience/policy-types.ts";
import { secretErrors } from "./secrets/seal.ts";
import { settingErrors } from "./settings.ts";
import { tenancyErrors } from "./tenancy/errors.ts";

/** Every catalogue that the kernel itself answers from; services bring their own. */
export const kernelErrors: readonly ErrorCatalogue[] = [
  requestErrors,
  accessErrors,
  identityErrors,
  tenancyErrors,
  secretErrors,
  dependencyErrors,
  faultErrors,
  eventErrors,
  webhookErrors,
  flagErrors,
  settingErrors,
  outgoingErrors,
];
