import assert from "node:assert/strict";
import test from "node:test";
import { boldWords, type FoundPage, readPdf } from "./fixtures/pdf.ts";
import {
  makeCustomer,
  makeOrder,
  makeProduct,
  makeShop,
  moveTo,
  refusal,
  startOrders,
} from "./fixture.ts";

const cheese = {
  sku: 'CHS "½"/MONT',
  title: "Montgomery's Cheddar",
  ingredients: "Unpasteurised cow's milk, salt, rennet",
  allergens: ["milk"],
  priceMinor: 795,
};
const unknownId = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a label that is not the product's, and a stale one taken for the present one.
  test(`${isolation}: a product's label is a PDF with an entity tag`, async (t) => {
    const { admin, user } = await startOrders(t, isolation);
    const address = "41 Bermondsey Street,\nLondon";
    const shop = await makeShop(admin, { name: "Deli", currency: "EUR", address });
    const { id } = await makeProduct(admin, cheese);
    const path = `/products/${id}/label.pdf`;
    const answer = await user.get(`${path}?shopId=${shop.id}&price=true&size=89x36`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers["content-type"], "application/pdf");
    assert.equal(answer.headers["content-disposition"], 'inline; filename="label-CHS-MONT.pdf"');
    const { pages, info } = await readPdf(answer.bytes);
    const [page] = pages as [FoundPage];
    assert.deepEqual(boldWords(page), [cheese.title, "€7.95", "milk", "bold"]);
    assert.equal(page.lines.at(-1), "Deli, 41 Bermondsey Street, London");
    assert.deepEqual([info.Title, info.Author], [`Label: ${cheese.title}`, "Deli"]);

    const plain = await user.get(path);
    const tag = plain.headers.etag as string;
    assert.match(tag, /^"[\w-]{43}"$/);
    assert.notEqual(tag, answer.headers.etag);
    const again = await user.get(path, { "if-none-match": tag });
    assert.deepEqual([again.status, again.bytes.length, again.headers.etag], [304, 0, tag]);
    const { paths } = (await user.raw("GET", "/openapi.json")).body;
    const documented = paths["/api/v1/products/{id}/label.pdf"].get.responses;
    assert.deepEqual(Object.keys(documented[200].content), ["application/pdf"]);
    assert.deepEqual(documented[304], { description: "What If-None-Match names is current." });
    const changed = await admin.patch(
      `/products/${id}`,
      { title: "Cheddar" },
      { "if-match": '"1"' },
    );
    assert.equal(changed.status, 200, changed.text);
    const fresh = await user.get(path, { "if-none-match": tag });
    assert.equal(fresh.status, 200);
    assert.equal((await readPdf(fresh.bytes)).lines[0], "Cheddar");
  });

  // Guards against an unlawful label, and against a page of somebody else's.
  test(`${isolation}: what must not be printed is refused by name`, async (t) => {
    const { admin, user, stranger, nobody, server } = await startOrders(t, isolation);
    const bare = await makeProduct(admin, { sku: "B", ingredients: "" });
    const wrong = await makeProduct(admin, { sku: "W", ingredients: "Pork, wheat flour, butter" });
    const fine = await makeProduct(admin, cheese);
    const label = (id: string, query = "") => admin.get(`/products/${id}/label.pdf${query}`);

    assert.equal(refusal(await label(bare.id)), "409 ERR_ORDERS_LABEL_WITHOUT_INGREDIENTS");
    const force = "?acknowledgeAllergens=true";
    assert.equal(refusal(await label(bare.id, force)), "409 ERR_ORDERS_LABEL_WITHOUT_INGREDIENTS");
    const refused = await label(wrong.id);
    assert.equal(refusal(refused), "409 ERR_ORDERS_LABEL_UNDECLARED_ALLERGENS");
    assert.deepEqual(refused.body.undeclared, [
      { word: "wheat", allergens: ["gluten"] },
      { word: "butter", allergens: ["milk"] },
    ]);
    const forced = await label(wrong.id, force);
    assert.deepEqual(boldWords((await readPdf(forced.bytes)).pages[0] as FoundPage), [
      wrong.title,
      ..."wheat,butter,bold".split(","),
    ]);
    const logged = server.logs.filter(
      ({ msg }) => msg === "label printed with undeclared allergens",
    );
    assert.deepEqual(
      logged.map(({ productId }) => productId),
      [wrong.id],
    );

    const price = await label(fine.id, "?price=true");
    assert.equal(refusal(price), "422 ERR_REQUEST_INVALID query/price");
    const elsewhere = await makeShop(stranger, { name: "Elsewhere" });
    for (const shopId of [unknownId, elsewhere.id]) {
      const answer = await label(fine.id, `?shopId=${shopId}`);
      assert.equal(refusal(answer), "422 ERR_ORDERS_UNKNOWN_SHOP query/shopId");
    }
    for (const query of ["?size=1x1", "?price=perhaps", "?shopId=1", "?colour=red"]) {
      assert.equal((await label(fine.id, query)).status, 422, query);
    }
    assert.equal((await label(unknownId)).status, 404);
    assert.equal((await stranger.get(`/products/${fine.id}/label.pdf`)).status, 404);
    assert.equal((await nobody.get(`/products/${fine.id}/label.pdf`)).status, 401);
    assert.equal((await user.get(`/products/${fine.id}/label.pdf`)).status, 200);
  });

  // Guards against paper that says "�" where a name or an ingredient should stand.
  test(`${isolation}: what can't be printed is refused by its characters`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const tea = await makeProduct(admin, { title: "Tea 茶", ingredients: "Tea" });
    const label = await admin.get(`/products/${tea.id}/label.pdf`);
    assert.equal(refusal(label), "409 ERR_ORDERS_UNPRINTABLE");
    assert.deepEqual(label.body.characters, ["茶"]);
    const order = await makeOrder(admin, shop, [[tea, 1]], { customerName: "Ann \u{1f338}" });
    const path = `/orders/${order.id}/invoice.pdf`;
    const refused = await admin.get(path);
    assert.equal(refusal(refused), "409 ERR_ORDERS_UNPRINTABLE");
    assert.deepEqual(refused.body.characters, ["\u{1f338}", "茶"]);
    const marked = await admin.get(`${path}?substitute=true`);
    assert.equal(marked.status, 200, marked.text);
    const { lines } = await readPdf(marked.bytes);
    assert.ok(
      lines.some((line) => line.includes("Ann \ufffd")),
      lines.join("\n"),
    );
  });

  // Guards against an invoice of other figures than the order's, or for eyes that may not see it.
  test(`${isolation}: an order's invoice follows its state`, async (t) => {
    const { admin, user, stranger, nobody } = await startOrders(t, isolation);
    const shop = await makeShop(admin, { name: "Deli", address: "London\nVAT GB 123" });
    const milk = await makeProduct(admin, { ...cheese, vatRate: "zero" });
    const roll = await makeProduct(admin, { sku: "R", title: "Roll", priceMinor: 250 });
    const customer = await makeCustomer(admin, { email: "ada@example.com" });
    const items = [
      [milk, 2],
      [roll, 3],
    ] as const;
    const order = await makeOrder(user, shop, items, { customerId: customer.id });
    const path = `/orders/${order.id}/invoice.pdf`;
    const draft = await user.get(path);
    assert.equal(draft.status, 200, draft.text);
    assert.equal(draft.headers["content-type"], "application/pdf");
    const file = `proforma-${order.number}.pdf`;
    assert.equal(draft.headers["content-disposition"], `inline; filename="${file}"`);
    assert.doesNotMatch((await readPdf(draft.bytes)).lines.join("\n"), /invoice/i);

    const completed = await moveTo(admin, order, "completed");
    const tag = draft.headers.etag as string;
    const answer = await admin.get(path, { "if-none-match": tag });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(
      answer.headers["content-disposition"],
      `inline; filename="invoice-${order.number}.pdf"`,
    );
    const { lines, info } = await readPdf(answer.bytes);
    for (const line of [
      "Deli | INVOICE",
      "Ada Lovelace",
      "ada@example.com",
      "Montgomery's Cheddar | 2 | 7.95 | 0% | 15.90",
      "Roll | 3 | 2.50 | 20% | 7.50",
      "Total | £23.40",
    ]) {
      assert.ok(
        lines.some((found) => found.endsWith(line)),
        `${line} in\n${lines.join("\n")}`,
      );
    }
    const moment = completed.updatedAt.replace(/[-:]|\.\d+/g, "").replace("T", "");
    assert.equal(info.CreationDate, `D:${moment}`);
    const unchanged = await user.get(path, { "if-none-match": answer.headers.etag as string });
    assert.deepEqual([unchanged.status, unchanged.bytes.length], [304, 0]);

    const ofAdmin = await makeOrder(admin, shop, items);
    assert.equal((await user.get(`/orders/${ofAdmin.id}/invoice.pdf`)).status, 404);
    assert.equal((await stranger.get(path)).status, 404);
    assert.equal((await admin.get(`/orders/${unknownId}/invoice.pdf`)).status, 404);
    assert.equal((await nobody.get(path)).status, 401);
  });
}

// Guards against a crowd of printers that takes the whole process, and against endless waiting.
test("so many documents are made at once and wait; the rest is told to come again", async (t) => {
  const { admin } = await startOrders(t, "shared");
  const { id } = await makeProduct(admin, cheese);
  const path = `/products/${id}/label.pdf`;
  const first = await admin.get(path);
  const answers = await Promise.all(Array.from({ length: 80 }, () => admin.get(path)));
  const made = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 503);
  assert.equal(made.length + refused.length, 80);
  assert.ok(made.length >= 52, `${made.length} made`);
  assert.ok(refused.length > 0, "none was refused");
  for (const { bytes } of made) assert.deepEqual(bytes, first.bytes);
  for (const answer of refused) {
    assert.equal(refusal(answer), "503 ERR_REQUEST_UNAVAILABLE");
    assert.equal(answer.headers["retry-after"], "1");
  }
  assert.equal((await admin.get(path)).status, 200);
});
