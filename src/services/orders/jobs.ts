import { whatsappJobs } from "./jobs/whatsapp.ts";
import type { JobCatalogue } from "#kernel/jobs/types.ts";
import type { KernelDeps } from "#kernel/service.ts";

/** Background work of the order desk. */
export const ordersJobs: JobCatalogue<KernelDeps> = whatsappJobs;
