import type { Price } from "./money.ts";

/** The parts of an image's name: `registry/name:tag@sha256:…`. */
export interface ImageName {
  /** Without tag and digest, and without what Docker Hub lets people leave out. */
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** An entry of the allow-list: any tag of a name, one tag, or one digest. */
export interface ImageRule extends ImageName {
  readonly text: string;
}

/** What an image costs; `*` stands for every other. */
export interface PricedImage {
  readonly image: string;
  readonly price: Price;
}

const charsMost = 300;
const part = "[a-z0-9][a-z0-9._-]*";
const pattern = new RegExp(
  `^(?<repository>${part}(?::\\d{1,5})?(?:/${part})*)` +
    "(?::(?<tag>\\w[\\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$",
);
const hubPrefix = /^(?:docker\.io\/)?(?:library\/)?/;

/** The parts of a name; null for what is none. */
export function parseImage(text: string): ImageName | null {
  if (text.length > charsMost) return null;
  // A name without a slash and with a colon has a tag, not a port.
  const groups = pattern.exec(text.includes("/") ? text : `library/${text}`)?.groups;
  if (!groups) return null;
  const { repository = "", tag = null, digest = null } = groups;
  return { repository: repository.replace(hubPrefix, ""), tag, digest };
}

/** The rules of a comma-separated list; null where an entry is no image's name. */
export function parseImageRules(list: string): ImageRule[] | null {
  const entries = list
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  const rules = entries.map((text) => {
    const name = parseImage(text);
    return name && { ...name, text };
  });
  return rules.every((rule) => rule !== null) ? rules : null;
}

/**
 * The reference to ask the engine for: the image itself where a rule allows it, the rule's own text
 * where that pins the same name and tag to a digest; null: it is not allowed.
 */
export function allowedImage(text: string, rules: readonly ImageRule[]): string | null {
  const image = parseImage(text);
  if (!image) return null;
  for (const rule of rules) {
    if (rule.repository !== image.repository) continue;
    if (rule.digest !== null && image.digest === null) {
      if ((image.tag ?? rule.tag) === rule.tag) return rule.text;
      continue;
    }
    const isSameDigest = rule.digest === null || rule.digest === image.digest;
    const isSameTag = rule.tag === null || rule.digest !== null || rule.tag === image.tag;
    if (isSameDigest && isSameTag) return text;
  }
  return null;
}

/** What the installation asks for an image: by its name with the tag, by its name, or for any. */
export function priceOf(image: string, prices: readonly PricedImage[]): Price {
  const name = parseImage(image);
  const tagged = name?.tag ? `${name.repository}:${name.tag}` : null;
  const wanted = [image, tagged, name?.repository, "*"];
  for (const one of wanted) {
    const found = prices.find((entry) => entry.image === one);
    if (found) return found.price;
  }
  return { cpuHourMinor: 0, gbHourMinor: 0, flatMinor: 0 };
}
