import { leasesErrors } from "../errors.ts";
import type { Template } from "../schemas/templates.ts";
import type { Limits } from "./config.ts";
import { allowedImage } from "./images.ts";
import type { Base } from "./request.ts";
import type { StoredSnapshot } from "./snapshots.ts";

/** What a template brings to its leases. Throws `image_not_allowed`. */
export function baseOfTemplate(template: Template, limits: Limits): Base {
  const { id, name, user, priceCpuHourMinor, priceGbHourMinor, priceFlatMinor } = template;
  return {
    ...template,
    templateId: id,
    templateName: name,
    restoredFrom: null,
    image: imageOf(template, limits),
    runAs: user,
    price: {
      cpuHourMinor: priceCpuHourMinor,
      gbHourMinor: priceGbHourMinor,
      flatMinor: priceFlatMinor,
    },
  };
}

/** What the tenant may lease may have changed since its template was made. */
function imageOf({ scope, image, name }: Template, { allowedImages }: Limits): string {
  const allowed = scope === "platform" ? image : allowedImage(image, allowedImages);
  if (allowed !== null) return allowed;
  throw leasesErrors.image_not_allowed({
    detail: `"${image}", of the template "${name}", may not be leased any more.`,
    errors: [{ path: "/template", message: "has an image that is not allowed" }],
  });
}

/** What a snapshot brings to leases that are made of it. Throws `snapshot_not_ready`. */
export function baseOfSnapshot({ id, state, image, settings }: StoredSnapshot): Base {
  if (state !== "ready" || image === null) {
    throw leasesErrors.snapshot_not_ready({
      detail: `The snapshot is ${state}; only one that is ready can be restored.`,
      extensions: { state },
    });
  }
  return { ...settings, image, restoredFrom: id };
}
