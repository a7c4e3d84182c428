import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { manualClock, systemClock } from "#kernel/clock.ts";
import { Problem } from "#kernel/errors.ts";
import { seededRandom } from "#kernel/random.ts";
import { startOutgoing } from "#kernel/resilience/outgoing-fixture.ts";
import { csvFile, geckoCoin, jsonItem, paprikaTicker, recordCount } from "../fixtures/hosts.ts";
import { rssFeed, startHosts } from "../fixtures/hosts.ts";
import { deduplicate, keyOf } from "../rules/records.ts";
import { coingecko } from "./coingecko.ts";
import { coinpaprika } from "./coinpaprika.ts";
import { csv } from "./csv.ts";
import { fetchPages, type Page } from "./fetch.ts";
import { httpJson, type Pagination } from "./http-json.ts";
import type { FetchLimits } from "./request.ts";
import { rss } from "./rss.ts";
import type { Connector, Position } from "./types.ts";

interface Case {
  name: string;
  connector: Connector<never>;
  config(origin: string): object;
  /** A page's body with these records. */
  bodyOf(count: number, more?: object): string;
  firstKey: string;
  /** It asks for page after page, and could be sent the same for ever. */
  isPaged?: true;
}

const paged = (kind: string, pagination: Pagination): Case => ({
  name: `http_json by ${kind}`,
  connector: httpJson,
  config: (origin) => ({
    url: `${origin}/${kind}`,
    itemsPath: "data.items",
    pagination,
    key: ["id"],
    cursor: { path: "updated_at", param: "since" },
  }),
  bodyOf: (count, more) => JSON.stringify({ data: { items: list(count, jsonItem, more) } }),
  firstKey: "item-0",
  ...((kind === "page" || kind === "offset") && { isPaged: true }),
});

const list = (count: number, one: (at: number, more?: object) => object, more?: object) =>
  Array.from({ length: count }, (_, at) => one(at, at === 0 ? more : {}));

const cases: Case[] = [
  {
    name: "coingecko",
    connector: coingecko,
    config: (origin) => ({ baseUrl: `${origin}/gecko`, perPage: 2 }),
    bodyOf: (count, more) => JSON.stringify(list(count, geckoCoin, more)),
    firstKey: "coin-0",
    isPaged: true,
  },
  {
    name: "coinpaprika",
    connector: coinpaprika,
    config: (origin) => ({ baseUrl: `${origin}/paprika` }),
    bodyOf: (count, more) => JSON.stringify(list(count, paprikaTicker, more)),
    firstKey: "c0-coin-0",
  },
  paged("page", { kind: "page", param: "p" }),
  paged("offset", { kind: "offset", param: "from", limitParam: "size", limit: 2 }),
  paged("cursor", { kind: "cursor", param: "after", path: "next" }),
  paged("link", { kind: "link" }),
  {
    name: "csv",
    connector: csv,
    config: (origin) => ({ url: `${origin}/file.csv` }),
    bodyOf: (count, more) =>
      csvFile(count).replace("Row, 0", more ? "x".repeat(JSON.stringify(more).length) : "Row, 0"),
    firstKey: "r0",
  },
  {
    name: "rss",
    connector: rss,
    config: (origin) => ({ url: `${origin}/feed.xml` }),
    bodyOf: (count, more) =>
      rssFeed(count)
        .replace("News", `News ${JSON.stringify(more ?? "")}`)
        .replace("<b>0</b>", more ? "x".repeat(JSON.stringify(more).length) : "<b>0</b>"),
    firstKey: "news-0",
  },
];

interface Given {
  secret?: string;
  position?: Position;
  since?: string;
  limits?: Partial<FetchLimits>;
  stopAfter?: number;
}

/** Hosts, and a run of a case against them whose pauses are noted instead of waited for. */
async function start(t: TestContext, { connector, config }: Case, allow = ["127.0.0.1"]) {
  const hosts = await startHosts(t);
  const { outgoing } = startOutgoing(t, { allow });
  const pausesMs: number[] = [];
  const tally = { requests: 0, rateLimited: 0 };
  const seen = { drained: 0 };
  const run = async ({ secret, position, since, limits, stopAfter }: Given = {}) => {
    const pages: Page[] = [];
    const all = fetchPages({
      deps: {
        outgoing,
        clock: systemClock,
        random: seededRandom(manualClock(), 3),
        takeBudget: async () => {},
        drainBudget: async () => {
          seen.drained += 1;
        },
        pause: async (ms) => {
          pausesMs.push(ms);
        },
        tenantId: "tenant",
      },
      connector,
      config: config(hosts.origin) as never,
      secret: secret ?? null,
      position: position ?? null,
      since: since ?? null,
      signal: new AbortController().signal,
      tally,
      limits: { recordsPerChunk: 2, ...limits },
    });
    for await (const page of all) {
      pages.push(page);
      if (pages.length === stopAfter) break;
    }
    return pages;
  };
  const keysOf = (pages: readonly Page[]) =>
    pages.flatMap(({ records }) =>
      records.map(({ columns }) => keyOf(columns, connector.key(config(hosts.origin) as never))),
    );
  return { hosts, run, keysOf, pausesMs, tally, seen };
}

const failsWith = (code: string) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error));
  assert.equal(error.code, `ERR_FEEDS_${code}`, error.message);
  return true;
};
const total = (pages: readonly Page[]) => pages.reduce((sum, { fetched }) => sum + fetched, 0);

for (const each of cases) {
  suite(each.name, () => {
    // Guards against records that are lost, doubled or counted otherwise than they came.
    test("a good key brings every record exactly once", async (t) => {
      const { run, keysOf, hosts, tally } = await start(t, each);
      const pages = await run({ secret: "good" });
      const keys = keysOf(pages);
      assert.equal(keys.length, recordCount);
      assert.equal(new Set(keys).size, recordCount);
      assert.equal(keys[0], each.firstKey);
      assert.equal(total(pages), recordCount);
      assert.ok(pages.every((page, at) => page.number === at));
      assert.equal(pages.at(-1)?.next, null);
      assert.equal(tally.requests, hosts.requests.length);
      assert.deepEqual(
        (await run()).flatMap(({ records }) => records.map(({ hash }) => hash)),
        pages.flatMap(({ records }) => records.map(({ hash }) => hash)),
        "again, they are the same",
      );
    });

    // Guards against a wrong key that is tried again until the account is locked.
    test("a bad key is told at once", async (t) => {
      const { run, hosts } = await start(t, each);
      await assert.rejects(run({ secret: "bad" }), failsWith("SOURCE_UNAUTHORIZED"));
      assert.equal(hosts.requests.length, 1);
    });

    // Guards against a source without records that is taken for an error, or asked for ever.
    test("an empty page is the last one", async (t) => {
      const { run, hosts } = await start(t, each);
      hosts.answerNext({ body: each.bodyOf(0) });
      const pages = await run();
      assert.deepEqual([pages.length, total(pages), pages[0]?.next], [1, 0, null]);
    });

    // Guards against a run that never ends, and against a hiccup that fails one.
    test("a duplicate page is deduplicated; the same page for ever is an error", async (t) => {
      const { run, keysOf, hosts } = await start(t, each);
      const body = each.bodyOf(2);
      if (each.isPaged) {
        hosts.answerNext({ body }, { body });
        const keyed = keysOf(await run()).map((key) => ({ key: key ?? "" }));
        assert.equal(deduplicate(keyed).kept.length, new Set(keyed.map(({ key }) => key)).size);
        assert.ok(deduplicate(keyed).duplicates.length >= 2);
        hosts.answerAlways({ body });
        await assert.rejects(run(), failsWith("PAGES_REPEAT"));
      } else {
        hosts.answerAlways({ body });
        assert.equal(total(await run()), 2);
      }
    });

    // Guards against a cursor that goes back, and records taken for new for ever after.
    test("a cursor in the future brings nothing and stays", async (t) => {
      const { run } = await start(t, each);
      const since = "2999-01-01T00:00:00Z";
      const pages = await run({ since });
      assert.ok(pages.every((page) => page.since === since || page.since === null));
      const isKept = each.name.startsWith("http_json") && each.name !== "http_json by link";
      if (isKept) assert.equal(total(pages), 0);
    });

    // Guards against an interrupted run that begins anew or leaves a page out.
    test("a run goes on at the page that it was interrupted at", async (t) => {
      const { run, keysOf } = await start(t, each);
      const [first] = await run({ stopAfter: 1 });
      assert.ok(first);
      const rest = first.next === null ? [] : await run({ position: first.next });
      const keys = keysOf([first, ...rest]);
      assert.deepEqual([keys.length, new Set(keys).size], [recordCount, recordCount]);
    });

    // Guards against a source that asks for patience and gets none.
    test("429 is waited for, with and without Retry-After", async (t) => {
      const { run, hosts, pausesMs, tally, seen } = await start(t, each);
      hosts.answerNext({ status: 429, headers: { "retry-after": "2" } }, { status: 429 });
      assert.equal(total(await run()), recordCount);
      assert.equal(pausesMs.length, 2);
      assert.ok((pausesMs[0] ?? 0) >= 2_000 && (pausesMs[0] ?? 0) <= 3_000);
      assert.ok((pausesMs[1] ?? 0) >= 1_000 && (pausesMs[1] ?? 0) <= 2_000);
      assert.deepEqual([tally.rateLimited, seen.drained], [2, 2]);
      hosts.answerNext({ status: 429, headers: { "retry-after": "600" } });
      const before = hosts.requests.length;
      await assert.rejects(run(), (error) => {
        failsWith("SOURCE_RATE_LIMITED")(error);
        const wait = Number((error as Problem).options.headers?.["retry-after"]);
        return wait >= 600 && wait <= 661;
      });
      assert.equal(hosts.requests.length, before + 1);
      assert.equal(pausesMs.length, 2, "nobody waits ten minutes in a worker's place");
    });

    // Guards against a hiccup that fails a run, and against a dead source that is asked for ever.
    test("500 is tried again, four times at most", async (t) => {
      const { run, hosts } = await start(t, each);
      hosts.answerNext({ status: 500 }, { status: 500 });
      assert.equal(total(await run()), recordCount);
      hosts.answerAlways({ status: 500, body: "{" });
      const before = hosts.requests.length;
      await assert.rejects(run(), failsWith("SOURCE_UNAVAILABLE"));
      assert.equal(hosts.requests.length, before + 4);
    });

    // Guards against half an answer that is taken for a whole one.
    test("a truncated answer is an error that says so", async (t) => {
      const { run, hosts } = await start(t, each);
      const body = each.bodyOf(2);
      const cut = each.name === "csv" ? body.indexOf('"Row, 1') + 3 : body.length - 20;
      hosts.answerAlways({ body: body.slice(0, cut) });
      await assert.rejects(run(), failsWith("BAD_PAGE"));
      assert.equal(hosts.requests.length, 1, "it would be the same again");
    });

    // Guards against a worker that is held for ever by a source that stops in the middle.
    test("a body that stands still is given up", async (t) => {
      const { run, hosts } = await start(t, each);
      hosts.answerAlways({ body: each.bodyOf(1).slice(0, 10), stalls: true });
      await assert.rejects(run({ limits: { idleMs: 60, attempts: 2 } }), failsWith("SOURCE_SLOW"));
    });

    // Guards against one huge record that takes all others with it, or vanishes.
    test("an oversized record is rejected, and only that", async (t) => {
      const { run, hosts, keysOf } = await start(t, each);
      hosts.answerNext({ body: each.bodyOf(2, { blob: "x".repeat(9_000) }) });
      const pages = await run({ limits: { recordBytesMax: 8_000 }, stopAfter: 1 });
      const [page] = pages;
      assert.deepEqual(
        page?.rejected.map(({ index, code }) => [index, code]),
        [[0, "too_large"]],
      );
      assert.equal(page?.rejected[0]?.raw.length, 2_000);
      assert.deepEqual([page?.fetched, keysOf(pages).length], [2, 1]);
    });

    // Guards against a source whose owner points it at this server's own network.
    test("a private address is not asked", async (t) => {
      const { run, hosts } = await start(t, each, []);
      await assert.rejects(run(), { code: "ERR_OUTGOING_PRIVATE_ADDRESS" });
      assert.equal(hosts.requests.length, 0);
    });

    // Guards against an answer that fills the memory.
    test("a page has a limit of bytes", async (t) => {
      const { run } = await start(t, each);
      const limits = { pageBytesMax: 50, fileBytesMax: 50 };
      await assert.rejects(run({ limits }), failsWith("PAGE_TOO_LARGE"));
    });
  });
}
