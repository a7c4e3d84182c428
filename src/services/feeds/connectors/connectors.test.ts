import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { manualClock, systemClock } from "#kernel/clock.ts";
import { seededRandom } from "#kernel/random.ts";
import { startOutgoing } from "#kernel/resilience/outgoing-fixture.ts";
import { startHosts } from "../fixtures/hosts.ts";
import { coingecko } from "./coingecko.ts";
import { coinpaprika } from "./coinpaprika.ts";
import { csv } from "./csv.ts";
import { fetchPages, type Page } from "./fetch.ts";
import { httpJson, type HttpJsonConfig } from "./http-json.ts";
import type { FetchLimits } from "./request.ts";
import type { Connector } from "./types.ts";
import { nextLink, valueAt, withQuery } from "./urls.ts";

async function start(t: TestContext) {
  const hosts = await startHosts(t);
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const read = async <Config>(
    connector: Connector<Config>,
    config: Config,
    {
      secret = null,
      upload,
      limits,
      since = null,
    }: {
      secret?: string | null;
      upload?: AsyncIterable<Uint8Array>;
      limits?: Partial<FetchLimits>;
      since?: string | null;
    } = {},
  ) => {
    const pages: Page[] = [];
    for await (const page of fetchPages({
      deps: {
        outgoing,
        clock: systemClock,
        random: seededRandom(manualClock(), 3),
        takeBudget: async () => {},
        drainBudget: async () => {},
        pause: async () => {},
        tenantId: "tenant",
      },
      connector,
      config,
      secret,
      position: null,
      since,
      signal: new AbortController().signal,
      tally: { requests: 0, rateLimited: 0 },
      ...(limits && { limits }),
      ...(upload && { upload }),
    })) {
      pages.push(page);
    }
    return pages;
  };
  return { hosts, read };
}

const geckoOf = (origin: string) => ({ baseUrl: `${origin}/gecko` });
const body = (value: unknown) => ({ body: JSON.stringify(value) });

// Guards against a range beyond the plan reported as a wrong key, and a wrong key as an outage.
test("CoinGecko's error code decides what a refusal means", async (t) => {
  const { hosts, read } = await start(t);
  const error = (error_code: number) => ({ error: { status: { error_code, error_message: "" } } });
  const cases: [number, number, string][] = [
    [401, 10012, "SOURCE_PLAN"],
    [401, 10002, "SOURCE_UNAUTHORIZED"],
    [403, 10005, "SOURCE_PLAN"],
    [400, 10011, "SOURCE_UNAUTHORIZED"],
    [403, 1020, "SOURCE_UNAVAILABLE"],
    [200, 10010, "SOURCE_UNAUTHORIZED"],
    [404, 404, "SOURCE_REFUSED"],
  ];
  for (const [status, errorCode, code] of cases) {
    hosts.answerAlways({ ...body(error(errorCode)), status });
    const expected = { code: `ERR_FEEDS_${code}` };
    await assert.rejects(read(coingecko, geckoOf(hosts.origin)), expected, `${errorCode}`);
  }
  hosts.answerAlways({ status: 402, ...body({ error: "plan" }) });
  const config = { baseUrl: `${hosts.origin}/paprika` };
  await assert.rejects(read(coinpaprika, config), { code: "ERR_FEEDS_SOURCE_PLAN" });
});

// Guards against the wrong host, header or order by default.
test("the real hosts are asked as their documents say", () => {
  const gecko = coingecko.request({}, { page: 3 }, "key");
  assert.equal(
    gecko.url,
    "https://api.coingecko.com/api/v3/coins/markets?vs_currency=usd&order=id_asc&per_page=250&page=3",
  );
  assert.equal(gecko.headers["x-cg-demo-api-key"], "key");
  const pro = { baseUrl: "https://pro-api.coingecko.com/api/v3" };
  assert.equal(coingecko.request(pro, { page: 1 }, "key").headers["x-cg-pro-api-key"], "key");
  const tickers = coinpaprika.request({ quotes: ["USD", "BTC"] }, {}, null);
  assert.equal(tickers.url, "https://api.coinpaprika.com/v1/tickers?quotes=USD%2CBTC");
  assert.ok(!("authorization" in tickers.headers));
  assert.equal(coingecko.next({ maxPages: 2, perPage: 1 }, { page: 2 }, answer(1)), null);
});

const answer = (count: number, more: object = {}) => ({
  body: {},
  count,
  headers: {},
  url: "https://api.example.com/items",
  ...more,
});

// Guards against a secret that a source's answer sends to somebody else's host.
test("a link to another host is not followed", () => {
  const config: HttpJsonConfig = {
    url: "https://api.example.com/items",
    itemsPath: "",
    pagination: { kind: "link" },
    key: ["id"],
  };
  const linkTo = (address: string) =>
    httpJson.next(config, {}, answer(1, { headers: { link: `<${address}>; rel="next"` } }));
  assert.deepEqual(linkTo("/items?page=2"), { link: "https://api.example.com/items?page=2" });
  for (const elsewhere of [
    "https://evil.example.com/",
    "http://api.example.com/",
    "//evil.example.com/",
    "https://api.example.com:8443/",
    "http://[",
  ]) {
    assert.throws(() => linkTo(elsewhere), { code: "ERR_FEEDS_BAD_PAGE" }, elsewhere);
  }
});

// Guards against a next page that is found in another relation, or is not found.
test("links, paths and queries", () => {
  assert.equal(nextLink('<a?1>; rel="prev", <b?2>; rel="next"'), "b?2");
  assert.equal(nextLink("<b>; title=x; rel=next, <c>; rel=last"), "b");
  assert.equal(nextLink('<b>; rel="last next"'), "b");
  for (const none of [undefined, "", '<a>; rel="nextish"', '<a>; rel="prev"; title="next"']) {
    assert.equal(nextLink(none), null, none);
  }
  assert.equal(valueAt({ a: { b: [1] } }, "a.b.0"), 1);
  assert.deepEqual(valueAt([1], ""), [1]);
  for (const path of ["a.b", "constructor", "a.__proto__"]) {
    assert.equal(valueAt({ a: {} }, path), undefined, path);
  }
  assert.equal(withQuery("https://x.example/?a=1&b=2", { a: 3 }), "https://x.example/?a=3&b=2");
});

// Guards against a cursor that a page in another order moves back.
test("a stream's cursor is the greatest that was seen", async (t) => {
  const { hosts, read } = await start(t);
  const config: HttpJsonConfig = {
    url: `${hosts.origin}/page`,
    itemsPath: "",
    pagination: { kind: "none" },
    key: ["id"],
    cursor: { path: "at", param: "since" },
  };
  const reached = async (values: unknown[], since: string | null) => {
    hosts.answerNext(body(values.map((at, id) => ({ id, at }))));
    return (await read(httpJson, config, { since }))[0]?.since;
  };
  assert.equal(await reached([9, 10, 2, null], null), "10");
  assert.equal(await reached([9], "10"), "10");
  assert.equal(
    await reached(["2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"], null),
    "2026-02-01T00:00:00Z",
  );
  assert.equal(await reached([], "10"), "10");
  assert.match(hosts.requests.at(-1)?.url ?? "", /since=10$/);
});

// Guards against items that are no records, and are counted or lost as if they were.
test("what is no record is rejected in its place", async (t) => {
  const { hosts, read } = await start(t);
  const deep = `${'{"a":'.repeat(100)}1${"}".repeat(100)}`;
  hosts.answerNext({ body: `[{"id":1},null,"x",[1],7,${deep},0.12345678901234567890]` });
  const [page] = await read(coinpaprika, { baseUrl: `${hosts.origin}/paprika` });
  assert.deepEqual(
    page?.records.map(({ index }) => index),
    [0],
  );
  assert.deepEqual(
    page?.rejected.map(({ index, code }) => `${index} ${code}`),
    [
      "1 not_a_record",
      "2 not_a_record",
      "3 not_a_record",
      "4 not_a_record",
      "5 too_deep",
      "6 not_a_record",
    ],
  );
  assert.equal(page?.fetched, 7);
});

// Guards against an answer of a million records in one transaction.
test("a page has a limit of records, and an answer must hold a list", async (t) => {
  const { hosts, read } = await start(t);
  const config = { baseUrl: `${hosts.origin}/paprika` };
  const limits = { recordsPerPageMax: 4 };
  await assert.rejects(read(coinpaprika, config, { limits }), { code: "ERR_FEEDS_PAGE_TOO_LARGE" });
  for (const text of ["{}", "null", '"x"', '{"id":1}']) {
    hosts.answerNext({ body: text });
    await assert.rejects(read(coinpaprika, config), { code: "ERR_FEEDS_BAD_PAGE" }, text);
  }
  const forever = { ...geckoOf(hosts.origin), perPage: 1 };
  const few = { limits: { pagesMax: 3 } };
  await assert.rejects(read(coingecko, forever, few), { code: "ERR_FEEDS_PAGES_ENDLESS" });
});

async function* parts(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text);
}

// Guards against rows of a file that slip into the wrong columns.
test("an uploaded file is read in pages; a row of other cells is rejected", async (t) => {
  const { read } = await start(t);
  const upload = parts("id,pri", 'ce\n1,"2\n', '"\n\n2,3,4\n3', "\n4,5");
  const pages = await read(csv, {}, { upload, limits: { recordsPerChunk: 3 } });
  assert.deepEqual(
    pages.map(({ fetched, next }) => [fetched, next]),
    [
      [3, { row: 3 }],
      [1, null],
    ],
  );
  assert.deepEqual(
    [...(pages[0]?.records[0]?.columns ?? [])],
    [
      ["id", "1"],
      ["price", "2\n"],
    ],
  );
  assert.deepEqual(
    pages[0]?.rejected.map(({ index, raw }) => [index, raw]),
    [
      [1, '["2","3","4"]'],
      [2, '["3"]'],
    ],
  );
  for (const head of ["id,id\n1,2", "id,\n1,2"]) {
    const bad = read(csv, {}, { upload: parts(head) });
    await assert.rejects(bad, { code: "ERR_FEEDS_BAD_PAGE" }, head);
  }
  assert.equal((await read(csv, {}, { upload: parts() }))[0]?.fetched, 0);
});
