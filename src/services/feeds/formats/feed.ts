import { SaxesParser } from "saxes";
import { feedsErrors } from "../errors.ts";

/** One entry of a feed. Members that it does not have are null. */
export interface FeedEntry {
  readonly [member: string]: unknown;
  readonly id: string | null;
  readonly title: string | null;
  readonly link: string | null;
  readonly summary: string | null;
  readonly author: string | null;
  readonly categories: readonly string[];
  /** ISO 8601; null where there is none or it is no date, which `publishedText` has as it was. */
  readonly publishedAt: string | null;
  readonly publishedText: string | null;
  readonly updatedAt: string | null;
}

const depthMax = 64;
const atomUri = "http://www.w3.org/2005/Atom";
const dcUri = "http://purl.org/dc/elements/1.1/";
const contentUri = "http://purl.org/rss/1.0/modules/content/";

interface Draft {
  texts: Record<string, string>;
  link: string | null;
  categories: string[];
}

/** Elements whose text an entry keeps, by the name that it gets. */
const kept: Readonly<Record<string, string>> = {
  guid: "id",
  id: "id",
  title: "title",
  link: "link",
  description: "summary",
  summary: "summary",
  content: "content",
  [`${contentUri} encoded`]: "content",
  author: "author",
  name: "author",
  [`${dcUri} creator`]: "author",
  pubDate: "published",
  published: "published",
  [`${dcUri} date`]: "published",
  updated: "updated",
};

/**
 * The entries of a feed of RSS 2.0 or Atom. Entities are those of XML and character references:
 * what a document declares itself is not read, so that it can't grow. Throws `bad_page` with the
 * line.
 */
export function parseFeed(text: string): FeedEntry[] {
  const parser = new SaxesParser({ xmlns: true });
  const entries: FeedEntry[] = [];
  const open: string[] = [];
  let draft: Draft | null = null;
  /** Within an entry, the member that text goes to, and how deep its element lies. */
  let member: string | null = null;
  let memberDepth = 0;
  let isFeed = false;
  parser.on("error", (error) => {
    throw bad(error.message.replace(/^\d+:\d+: /, ""), parser.line);
  });
  parser.on("opentag", ({ local, uri, attributes }) => {
    open.push(local);
    if (open.length > depthMax) throw bad(`elements lie deeper than ${depthMax}`, parser.line);
    if (open.length === 1) isFeed = local === "rss" || (local === "feed" && uri === atomUri);
    const isEntry = local === "item" || (local === "entry" && uri === atomUri);
    if (draft === null) {
      if (isEntry && isFeed) draft = { texts: {}, link: null, categories: [] };
      return;
    }
    const valueOf = (name: string) => attributes[name]?.value ?? null;
    if (local === "category" && valueOf("term") !== null) draft.categories.push(valueOf("term")!);
    if (local === "link" && (valueOf("rel") ?? "alternate") === "alternate") {
      draft.link ??= valueOf("href");
    }
    if (member !== null && local !== "name") return;
    const isPlain = uri === "" || uri === atomUri;
    const name = kept[isPlain ? local : `${uri} ${local}`];
    member = local === "category" ? "category" : (name ?? null);
    memberDepth = open.length;
    if (member === "author") draft.texts.author = "";
    else if (member === "category") draft.texts.category = "";
  });
  const addText = (part: string) => {
    if (draft !== null && member !== null) {
      draft.texts[member] = (draft.texts[member] ?? "") + part;
    }
  };
  parser.on("text", addText);
  parser.on("cdata", addText);
  parser.on("closetag", ({ local }) => {
    if (draft !== null && member !== null && open.length === memberDepth) {
      const category = draft.texts.category?.trim();
      if (member === "category" && category) draft.categories.push(category);
      member = null;
    }
    open.pop();
    if (draft !== null && (local === "item" || local === "entry")) {
      entries.push(entryOf(draft));
      draft = null;
      member = null;
    }
  });
  parser.write(text).close();
  if (!isFeed) throw bad("its first element is neither rss nor an Atom feed", 1);
  return entries;
}

const bad = (why: string, line: number) =>
  feedsErrors.bad_page({ detail: `Line ${line} of the feed can't be read: ${why}.` });

function entryOf({ texts, link, categories }: Draft): FeedEntry {
  const textOf = (name: string) => texts[name]?.trim() || null;
  const published = textOf("published");
  const address = link ?? textOf("link");
  return {
    id: textOf("id") ?? address,
    title: textOf("title"),
    link: address,
    summary: textOf("summary") ?? textOf("content"),
    author: textOf("author"),
    categories,
    publishedAt: momentOf(published),
    publishedText: published,
    updatedAt: momentOf(textOf("updated")),
  };
}

const rfc822Day = String.raw`(?:[A-Za-z]{3},\s+)?\d{1,2}\s+[A-Za-z]{3}\s+\d{4}`;
const rfc822Time = String.raw`\d{2}:\d{2}(?::\d{2})?\s+(?:[A-Z]{1,3}|[+-]\d{4})`;
const rfc822 = new RegExp(String.raw`^${rfc822Day}\s+${rfc822Time}$`);

/** A date of RSS (RFC 822, with a year of four digits) or Atom (RFC 3339) as ISO 8601 in UTC. */
function momentOf(text: string | null): string | null {
  if (text === null || text.length > 60) return null;
  if (!rfc822.test(text) && !/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
