import { defineErrors } from "#kernel/errors.ts";

/** What this service refuses by a name of its own; errors common to all are the kernel's. */
export const feedsErrors = defineErrors("feeds", {
  source_unauthorized: { status: 422, title: "The source does not accept the credentials" },
  source_plan: { status: 422, title: "The source's plan does not include this" },
  source_rate_limited: { status: 503, title: "The source allows no more requests for now" },
  source_unavailable: { status: 502, title: "The source is not available" },
  source_refused: { status: 502, title: "The source refuses the request" },
  bad_page: { status: 502, title: "The source's answer is not what the connector reads" },
  page_too_large: { status: 502, title: "The source's answer is larger than allowed" },
  source_slow: { status: 504, title: "The source stopped sending in the middle of an answer" },
  pages_repeat: { status: 502, title: "The source sends the same page again and again" },
  pages_endless: { status: 502, title: "The source has more pages than allowed" },
});
