import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFeed } from "./feed.ts";

const rss = (inside: string) => `<rss version="2.0"><channel>${inside}</channel></rss>`;

// Guards against entries whose members are those of the channel or of each other.
test("RSS 2.0", () => {
  const entries = parseFeed(`<?xml version="1.0" encoding="utf-8"?>
    <rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
         xmlns:media="http://search.yahoo.com/mrss/"
         xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
      <title>Channel</title><link>https://example.com</link>
      <item><title>A &amp; B &#8212; C</title><link>https://example.com/a</link>
        <guid isPermaLink="false">a</guid><pubDate>Mon, 01 Jun 2026 12:00:00 +0200</pubDate>
        <dc:creator>Ada</dc:creator><category>One</category><category>Two</category>
        <media:title>Not this</media:title>
        <description><![CDATA[<p>1 < 2</p>]]></description>
        <content:encoded>Long</content:encoded></item>
      <item><link>https://example.com/b</link><pubDate>yesterday</pubDate></item>
    </channel></rss>`);
  assert.deepEqual(entries, [
    {
      id: "a",
      title: "A & B — C",
      link: "https://example.com/a",
      summary: "<p>1 < 2</p>",
      author: "Ada",
      categories: ["One", "Two"],
      publishedAt: "2026-06-01T10:00:00.000Z",
      publishedText: "Mon, 01 Jun 2026 12:00:00 +0200",
      updatedAt: null,
    },
    {
      id: "https://example.com/b",
      title: null,
      link: "https://example.com/b",
      summary: null,
      author: null,
      categories: [],
      publishedAt: null,
      publishedText: "yesterday",
      updatedAt: null,
    },
  ]);
});

// Guards against Atom by another prefix, and the wrong one of several links.
test("Atom, with any prefix", () => {
  for (const [p, xmlns] of [
    ["", "xmlns"],
    ["a:", "xmlns:a"],
  ] as const) {
    const [entry] = parseFeed(`<${p}feed ${xmlns}="http://www.w3.org/2005/Atom">
      <${p}title>Feed</${p}title><${p}entry><${p}id>urn:1</${p}id>
      <${p}link rel="self" href="https://example.com/self"/>
      <${p}link href="https://example.com/1"/><${p}link href="https://example.com/2"/>
      <${p}title type="html">T</${p}title><${p}author><${p}name>Ada</${p}name>
      <${p}email>a@example.com</${p}email></${p}author><${p}category term="One"/>
      <${p}content type="xhtml"><div>Some <b>text</b></div></${p}content>
      <${p}published>2026-06-01T10:00:00Z</${p}published>
      <${p}updated>2026-06-01T12:00:00+02:00</${p}updated></${p}entry></${p}feed>`);
    assert.deepEqual(entry, {
      id: "urn:1",
      title: "T",
      link: "https://example.com/1",
      summary: "Some text",
      author: "Ada",
      categories: ["One"],
      publishedAt: "2026-06-01T10:00:00.000Z",
      publishedText: "2026-06-01T10:00:00Z",
      updatedAt: "2026-06-01T10:00:00.000Z",
    });
  }
});

// Guards against a document that grows while it is read, reads files, or is read in part.
test("what is no sound feed is refused with its line", () => {
  const bomb = `<!DOCTYPE rss [<!ENTITY a "${"x".repeat(100)}"><!ENTITY b "&a;&a;&a;">]>`;
  const file = '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>';
  const deep = rss(`<item>${"<a>".repeat(70)}${"</a>".repeat(70)}</item>`);
  const cases: [string, RegExp][] = [
    [bomb + rss("<item><title>&b;</title></item>"), /entity/i],
    [file + rss("<item><title>&a;</title></item>"), /entity/i],
    ["", /Line 1/],
    ["<html><body/></html>", /neither rss nor an Atom feed/],
    ["<feed/>", /neither/],
    [rss("<item>\n<title>A</item>"), /Line 2/],
    [rss("<item>").slice(0, 40), /Line 1/],
    ["{}", /Line 1/],
    [deep, /deeper than 64/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseFeed(text),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "ERR_FEEDS_BAD_PAGE", text.slice(0, 40));
        return message.test(error.message);
      },
      text.slice(0, 60),
    );
  }
});

// Guards against an empty feed that is taken for a broken one.
test("a feed without entries has none", () => {
  assert.deepEqual(parseFeed(rss("<title>Quiet</title>")), []);
});
