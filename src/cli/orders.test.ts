import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { json, type Received, runCli, startStub, temporaryHome } from "./fixture.ts";
import { money } from "./money.ts";

const id = (n: number) => `019a0000-0000-7000-8000-00000000000${n}`;

const shops = [
  { id: id(1), name: "Deli" },
  { id: id(2), name: "Market Stall" },
  { id: id(3), name: "Deli Counter" },
];
const products = [
  { id: id(4), sku: "ROLL", title: "Roll" },
  { id: id(5), sku: "ROLL-HOT", title: "Hot roll" },
  { id: id(6), sku: "A=B", title: "Odd" },
];
const customers = [
  { id: id(7), name: "Sam", email: "sam@example.com" },
  { id: id(8), name: "Twin", email: null },
  { id: id(9), name: "Twin", email: "twin@example.com" },
];
const order = {
  id: id(0),
  number: "261120-7K3QD",
  state: "draft",
  customerName: "Sam\u001b[2J",
  customerEmail: null,
  customerPhone: null,
  notes: "",
  currency: "GBP",
  netMinor: 1000,
  vatMinor: 200,
  totalMinor: 1200,
  allergenWarnings: [{ title: "Cake", allergens: ["nuts"] }],
  acknowledgedAllergens: false,
  allowedTransitions: ["submit", "cancel"],
  items: [
    { title: "Roll", quantity: 2, unitPriceMinor: 600, vatRate: "standard", totalMinor: 1200 },
  ],
  version: 3,
  createdAt: "2026-11-20T12:00:00.123Z",
  updatedAt: "2026-11-20T12:00:00.123Z",
};

/** A server with the things above, which finds by any part of any text. */
function answerAll({ method, url }: Received, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(url, "http://stub");
  const kind = pathname.slice("/api/v1/".length);
  const lists: Record<string, object[]> = { shops, products, customers, orders: [order] };
  const all = lists[kind];
  response.setHeader("etag", '"3"');
  if (!all || method !== "GET") return json(response, method === "POST" ? 201 : 200, order);
  const q = searchParams.get("q")?.toLowerCase() ?? "";
  const items = all.filter((item) => JSON.stringify(item).toLowerCase().includes(q));
  json(response, 200, { items, nextCursor: null });
}

async function startDesk(t: TestContext, answer = answerAll) {
  const { url, received } = await startStub(t, answer);
  const home = await temporaryHome(t);
  const run = (...argv: string[]) => runCli(["orders", ...argv, "--api", url], { home });
  const changes = () => received.filter(({ method }) => method !== "GET");
  return { url, home, run, received, changes };
}

// Guards against an order for something else than what was named, and against guesses.
test("an order is taken by names: of shops, customers and SKUs", async (t) => {
  const { run, changes } = await startDesk(t);
  const taken = await run(
    ..."create --shop stall --customer SAM@example.com --notes Quick".split(" "),
    ...`--item roll=2 --item A=B=3 --item ${id(5)}`.split(" "),
  );
  assert.equal(taken.code, 0, taken.stderr);
  assert.deepEqual(JSON.parse(changes()[0]?.body ?? ""), {
    shopId: id(2),
    customerId: id(7),
    notes: "Quick",
    items: [
      { productId: id(4), quantity: 2 },
      { productId: id(6), quantity: 3 },
      { productId: id(5), quantity: 1 },
    ],
  });
  assert.ok(changes()[0]?.headers["idempotency-key"]);
  assert.match(taken.stdout, /total +12\.00 GBP \(net 10\.00 GBP, VAT 2\.00 GBP\)/);
  assert.match(taken.stdout, /allergens +Cake: nuts/);
  assert.match(taken.stdout, /customer +Sam\\u001b\[2J/);

  const refused: [argv: string[], stderr: RegExp][] = [
    [["--shop", "Deli Counter", "--item", "RO"], /no product "RO"\n {2}There are: ROLL, ROLL-HOT/],
    [["--shop", "el", "--item", "ROLL"], /several shops are called\n {2}\S+ Deli\n/],
    [["--shop", "Nowhere", "--item", "ROLL"], /There is no shop "Nowhere"/],
    [["--item", "ROLL"], /Say with --shop which shop/],
    [["--shop", "Deli", "--customer", "twin", "--item", "ROLL"], /several customers/],
    [["--shop", "Deli", "--customer", "Sa", "--item", "ROLL"], /no customer "Sa"/],
  ];
  for (const [argv, stderr] of refused) {
    const answer = await run("create", ...argv);
    assert.equal(answer.code, 1, argv.join(" "));
    assert.match(answer.stderr, stderr);
  }
  for (const argv of [
    ["--shop", "Deli"],
    ["--item", "ROLL=two"],
    ["--item", "=2"],
  ]) {
    assert.equal((await run("create", ...argv)).code, 2, argv.join(" "));
  }
  assert.equal(changes().length, 1);
  // What is called exactly so comes before what has it as a part.
  assert.equal((await run("create", "--shop", "Deli", "--item", "ROLL")).code, 0);
  assert.equal(JSON.parse(changes()[1]?.body ?? "").shopId, id(1));
});

// Guards against a search that seems to be over while it has only stopped for a moment.
test("an empty page that goes on says so, and a draft what is in its way", async (t) => {
  const { run } = await startDesk(t, ({ url }, response) => {
    const inTheWay = { ...order, obstacles: [{ message: "Roll is off sale" }] };
    if (url.includes("/orders?")) json(response, 200, { items: [], nextCursor: "further" });
    else json(response, 200, inTheWay);
  });
  const searched = await run("list", "--q", "sam");
  assert.equal(searched.code, 0);
  assert.match(searched.stderr, /Nothing on this page\.\n.*--cursor further/);
  const shown = await run("get", order.id);
  assert.match(shown.stdout, /in the way +Roll is off sale/);
});

// Guards against an order that was made, is not told of, and is therefore taken a second time.
test("an order that can't be submitted is told of all the same", async (t) => {
  const { run, changes } = await startDesk(t, (request, response) => {
    if (!request.url.endsWith("/submit")) return answerAll(request, response);
    json(response, 409, { title: "No", status: 409, code: "ERR_ORDERS_ALLERGEN_CONFLICT" });
  });
  const argv = ["create", "--shop", "Deli", "--item", "ROLL", "--submit"];
  const refused = await run(...argv);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /number +261120-7K3QD\n/);
  assert.match(refused.stderr, /Made the order 261120-7K3QD, which stays a draft.*\n✖ No/);
  const forPrograms = await run(...argv, "--json", "--acknowledge-allergens");
  assert.deepEqual([forPrograms.code, JSON.parse(forPrograms.stdout).number], [1, order.number]);
  assert.deepEqual(JSON.parse(changes().at(-1)?.body ?? ""), { acknowledgeAllergens: true });
});

// Guards against a catalogue that is found by ids only, and against a part of a name that deletes.
test("shops, products and customers are called by their names", async (t) => {
  const { run, received, changes } = await startDesk(t);
  const calls: [argv: string[], method: string, path: string][] = [
    [["products", "get", "roll"], "GET", `products/${id(4)}`],
    [["products", "update", "A=B", "--stock", "3"], "PATCH", `products/${id(6)}`],
    [["products", "history", "ROLL-HOT"], "GET", `products/${id(5)}/history`],
    [["customers", "get", "sam@example.com"], "GET", `customers/${id(7)}`],
    [["shops", "delete", "Market Stall"], "DELETE", `shops/${id(2)}`],
    [["shops", "get", id(3)], "GET", `shops/${id(3)}`],
  ];
  for (const [argv, method, path] of calls) {
    const { stderr } = await run(...argv);
    const last = received.at(-1);
    assert.deepEqual([last?.method, last?.url], [method, `/api/v1/${path}`], stderr);
  }
  const before = changes().length;
  const { code, stderr } = await run("shops", "delete", "stall");
  assert.deepEqual([code, changes().length], [1, before]);
  assert.match(stderr, /no shop "stall"\n {2}There are: Market Stall/);
});

// Guards against a step of an order that another command takes, or that overwrites unseen.
test("an order is moved on and changed by its number", async (t) => {
  const { run, changes } = await startDesk(t);
  const number = "261120-7k3qd";
  const moves: [argv: string[], path: string, body: object][] = [
    [["submit", number, "--acknowledge-allergens"], "submit", { acknowledgeAllergens: true }],
    [["confirm", number], "confirm", {}],
    [["start-preparation", id(0)], "start-preparation", {}],
    [["mark-ready", number], "mark-ready", {}],
    [["complete", number], "complete", {}],
    [["cancel", number, "--reason", "Rang off"], "cancel", { reason: "Rang off" }],
  ];
  for (const [argv, path, body] of moves) {
    const { code, stderr } = await run(...argv, "--if-version", "7");
    assert.equal(code, 0, stderr);
    const sent = changes().at(-1);
    assert.equal(sent?.url, `/api/v1/orders/${id(0)}/${path}`);
    assert.deepEqual(JSON.parse(sent.body), body);
    assert.equal(sent.headers["if-match"], '"7"');
    assert.ok(sent.headers["idempotency-key"]);
    assert.match(stderr, /Order 261120-7K3QD is draft\nWhat can be done now: submit, cancel/);
  }
  await run("update", number, "--item", "ROLL=3");
  const patch = changes().at(-1);
  assert.deepEqual(
    [patch?.method, patch?.headers["if-match"], JSON.parse(patch?.body ?? "")],
    ["PATCH", '"3"', { items: [{ productId: id(4), quantity: 3 }] }],
  );
  assert.equal((await run("update", number)).code, 2);
  assert.equal((await run("confirm")).code, 2);
});

test("lists and files take days, names and states", async (t) => {
  const { run, received } = await startDesk(t);
  const filters = ["--from", "2026-11-20", "--shop", "stall", "--state", "ready"];
  assert.equal((await run("list", ...filters)).code, 0);
  const listed = new URL(received.at(-1)?.url ?? "", "http://stub").searchParams;
  assert.deepEqual(Object.fromEntries(listed), {
    state: "ready",
    from: "2026-11-20T00:00:00Z",
    shopId: id(2),
  });
  await run("export", ...filters);
  assert.match(received.at(-1)?.url ?? "", /^\/api\/v1\/orders\/export\.csv\?.*shopId=/);
  assert.equal((await run("list", "--state", "lost")).code, 2);
});

const report = {
  rows: 3,
  created: 1,
  updated: 1,
  unchanged: 0,
  failed: 0,
  dryRun: false,
  errors: [],
  errorsOmitted: 0,
};

// Guards against a file that arrives changed or twice, and a script that takes half for the whole.
test("an import sends the file as it is, and fails where rows were left out", async (t) => {
  let answer: object = report;
  const desk = await startDesk(t, (_, response) => json(response, 200, answer));
  const { home, url, received } = desk;
  const file = join(home, "products.csv");
  const text = `sku,title\r\n${"A,Crème 🧀\r\n".repeat(20_000)}`;
  await writeFile(file, text);
  const argv = ["orders", "import", file, "--api", url];
  const shown = await runCli([...argv, "--dry-run"], { home, terminalColumns: 80 });
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stderr, /Sending █+░* \d+ %/);
  const [sent] = received;
  assert.equal(sent?.url, "/api/v1/products/import?dryRun=true&partial=false");
  assert.equal(sent?.headers["content-type"], "text/csv");
  assert.ok(sent?.headers["idempotency-key"]);
  assert.equal(sent?.body, text);

  const errors = [{ line: 2, column: "sku", value: "\u001b[2J", code: "E", message: "is bad" }];
  answer = { ...report, failed: 1, errors };
  const left = await runCli(argv, { home });
  assert.equal(left.code, 1);
  assert.match(left.stdout, / 2 {2}sku +\\u001b\[2J +is bad/);
  assert.match(left.stderr, /1 made, 1 changed.*\n✖ 1 of 3 rows were left out/);
  const forPrograms = await runCli([...argv, "--json"], { home });
  assert.deepEqual([forPrograms.code, JSON.parse(forPrograms.stdout)], [1, answer]);

  answer = report;
  const piped = await runCli([...argv.with(2, "-"), "--partial"], { home, stdin: "sku\nA\n" });
  assert.equal(piped.code, 0, piped.stderr);
  assert.deepEqual(received.at(-1)?.body, "sku\nA\n");
  for (const missing of [join(home, "nothing.csv"), home]) {
    assert.equal((await runCli(argv.with(2, missing), { home })).code, 1);
  }
});

// Guards against a refusal that does not say which cell of which line is wrong.
test("a file that is refused has its faults told by line, column and value", async (t) => {
  const fault = { line: 12, column: "priceMinor", value: "4.75", code: "E", message: "is bad" };
  const errors = Array.from({ length: 30 }, () => ({ path: "/12/priceMinor", ...fault }));
  const refused = { title: "No", status: 422, code: "ERR_ORDERS_IMPORT_REFUSED" };
  const { run } = await startDesk(t, (_, response) =>
    json(response, 422, { ...refused, errors, errorsOmitted: 7 }),
  );
  const { code, stdout, stderr } = await run("import", import.meta.filename);
  assert.equal(code, 1);
  assert.match(stdout, /^LINE +COLUMN +VALUE +WHAT IS WRONG\n +12 +priceMinor +4\.75 +is bad\n/);
  assert.equal(stdout.match(/is bad/g)?.length, 20);
  assert.match(stderr, /^and 17 more: .*\n✖ No \(422 ERR_ORDERS_IMPORT_REFUSED\)\n$/);
  const forPrograms = await run("import", import.meta.filename, "--json");
  assert.equal(forPrograms.stdout, "");
  assert.equal(JSON.parse(forPrograms.stderr).errors.length, 30);
});

// Guards against a list of faults that scrolls away what matters.
test("of many faults the first twenty are told", async (t) => {
  const errors = Array.from({ length: 30 }, (_, n) => ({ path: `/${n}`, message: "is bad" }));
  const { run } = await startDesk(t, (_, response) =>
    json(response, 422, { title: "No", status: 422, code: "ERR_X", errors }),
  );
  const { code, stderr } = await run("import", import.meta.filename);
  assert.equal(code, 1);
  assert.match(stderr, /\/19 is bad\n {2}and 10 more: --json shows them/);
});

// Guards against half a document that looks like a whole one, and a server that picks the folder.
test("a document is written whole or not at all, where it was asked for", async (t) => {
  const pdf = Buffer.from("%PDF-1.7 \x80\xff", "latin1");
  let name = "label-ROLL.pdf";
  let isCut = false;
  const desk = await startDesk(t, (request, response) => {
    if (!request.url.includes(".pdf")) return answerAll(request, response);
    response.writeHead(200, {
      "content-type": "application/pdf",
      "content-disposition": `inline; filename="${name}"`,
      "content-length": String(pdf.length),
    });
    if (!isCut) return response.end(pdf);
    response.write(pdf.subarray(0, 4), () => response.destroy());
  });
  const output = join(desk.home, "l.pdf");
  assert.equal((await desk.run("label", "ROLL", "--price", "--output", output)).code, 0);
  assert.deepEqual(await readFile(output), pdf);
  assert.match(desk.received.at(-1)?.url ?? "", /\/products\/\S+\/label\.pdf\?price=true&/);

  isCut = true;
  const cut = await desk.run("invoice", "261120-7K3QD", "--output", output);
  assert.equal(cut.code, 1);
  assert.deepEqual(await readFile(output), pdf);
  assert.deepEqual(
    (await readdir(desk.home)).filter((file) => file.endsWith(".part")),
    [],
  );
  isCut = false;
  for (const bad of ["../evil.pdf", "/etc/evil.pdf", ".profile"]) {
    name = bad;
    const { code, stderr } = await desk.run("label", "ROLL");
    assert.deepEqual([code, stderr], [2, "✖ Say with --output where\n"], bad);
  }
});

test("a batch of a till is brought in, and what was not applied is an error", async (t) => {
  const errors = [{ path: "/items/2/data/name", message: "is required" }];
  const invalid = { code: "ERR_REQUEST_INVALID", detail: "Something is invalid.", errors };
  const items = [
    { type: "customer", key: "c1", outcome: "applied", id: id(7), version: 1 },
    { type: "order", key: "o1", outcome: "conflict", id: id(0), version: 3 },
    { type: "shop", key: "s1", outcome: "refused", id: null, version: null, problem: invalid },
  ];
  const { run, home, received } = await startDesk(t, (_, response) =>
    json(response, 200, { items }),
  );
  const file = join(home, "batch.json");
  await writeFile(file, '[{"key":"c1"}]');
  const { code, stdout, stderr } = await run("sync", file);
  assert.equal(code, 1);
  assert.match(stdout, /order +o1 +conflict/);
  assert.match(stdout, /shop +s1 +refused .* \/items\/2\/data\/name is required/);
  assert.match(stderr, /2 of 3 were not applied/);
  assert.deepEqual(JSON.parse(received[0]?.body ?? ""), { items: [{ key: "c1" }] });
  await writeFile(file, "{");
  assert.equal((await run("sync", file)).code, 2);
});

// Guards against an amount that is shown a hundred times too large or too small.
test("amounts are shown with the digits of their currency", () => {
  const shown: [amountMinor: number, currency: string, text: string][] = [
    [123456, "GBP", "1,234.56 GBP"],
    [-5, "EUR", "-0.05 EUR"],
    [0, "USD", "0.00 USD"],
    [123456, "JPY", "123,456 JPY"],
    [123456, "KWD", "123.456 KWD"],
    [9007199254740991, "GBP", "90,071,992,547,409.91 GBP"],
  ];
  for (const [amountMinor, currency, text] of shown) {
    assert.equal(money(amountMinor, currency), text);
  }
});
