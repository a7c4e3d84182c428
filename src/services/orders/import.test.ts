import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { refusal } from "./fixture.ts";
import { file, header, productsOf, row, startImports, upload } from "./fixtures/import.ts";
import { importColumns } from "./rules/import.ts";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a file that is taken other than it reads, or changes nobody accounts for.
  test(`${isolation}: a file makes and changes products, and tells of them`, async (t) => {
    const { admin, events, verdict } = await startImports(t, isolation);
    const first = `\ufeff${[
      importColumns.join(","),
      'B-1,"Rye, dark","WHEAT flour\r\nwater ""hot""",gluten;milk,475,standard,20,true',
      "B-2, O'Brien <3 🧀 ,,,0,zero,,FALSE",
      "",
      ",,,,,,,",
      "B-3,Plain,salt, milk ; eggs ,9007199254740991,exempt,0,",
    ].join("\r\n")}`;
    const made = await upload(admin, first);
    assert.equal(made.status, 200, made.text);
    assert.deepEqual(made.body, {
      rows: 3,
      created: 3,
      updated: 0,
      unchanged: 0,
      failed: 0,
      dryRun: false,
      errors: [],
      errorsOmitted: 0,
    });
    const products = await productsOf(admin);
    const plain = { version: 1, active: true };
    const expected: [string, object][] = [
      [
        "B-1",
        {
          ...plain,
          title: "Rye, dark",
          ingredients: 'WHEAT flour\r\nwater "hot"',
          allergens: ["gluten", "milk"],
          priceMinor: 475,
          vatRate: "standard",
          stock: 20,
        },
      ],
      ["B-2", { ...plain, title: "O'Brien <3 🧀", ingredients: "", stock: null, active: false }],
      ["B-3", { ...plain, allergens: ["eggs", "milk"], priceMinor: Number.MAX_SAFE_INTEGER }],
    ];
    for (const [sku, members] of expected) {
      assert.deepEqual(products.get(sku), { ...products.get(sku), ...members });
    }
    assert.equal(products.size, 3);

    // Columns that the file doesn't have stay as they are; so does what it doesn't name.
    const second = await upload(admin, file("B-1,Rye,500,zero", row("B-4"), "B-3,Plain,1,exempt"));
    const { created, updated, unchanged } = second.body;
    assert.deepEqual([created, updated, unchanged], [1, 2, 0]);
    const rye = (await productsOf(admin)).get("B-1");
    assert.deepEqual(rye, {
      ...products.get("B-1"),
      title: "Rye",
      priceMinor: 500,
      vatRate: "zero",
      version: 2,
      updatedAt: rye?.updatedAt,
    });
    const history = (await admin.get(`/products/${rye?.id}/history`)).body.items;
    assert.deepEqual(
      history.map((entry: Record<string, unknown>) => [entry.action, entry.before, entry.after]),
      [
        ["product.update", products.get("B-1"), rye],
        ["product.create", null, products.get("B-1")],
      ],
    );
    const told = (await events()).map(({ type, data }) => `${type} ${data.sku} ${data.version}`);
    assert.deepEqual(told.toSorted(), [
      "product.created B-1 1",
      "product.created B-2 1",
      "product.created B-3 1",
      "product.created B-4 1",
      "product.updated B-1 2",
      "product.updated B-3 2",
    ]);

    const again = await upload(admin, file("B-1,Rye,500,zero", row("B-4"), "B-3,Plain,1,exempt"));
    assert.deepEqual([again.body.rows, again.body.unchanged], [3, 3]);
    assert.equal((await events()).length, 6);
    assert.deepEqual(await verdict(), [true, 6]);
  });

  // Guards against a stock that an import runs down in silence.
  test(`${isolation}: stock that an import takes to the low mark is told`, async (t) => {
    const { admin, events } = await startImports(t, isolation);
    const stock = (count: string) => upload(admin, `${header},stock\n${row("A")},${count}\n`);
    for (const count of ["8", "5", "4", ""]) assert.equal((await stock(count)).status, 200);
    const low = (await events()).filter(({ type }) => type === "product.stock_low");
    assert.deepEqual(
      low.map(({ data }) => data.stock),
      [5],
    );
  });

  // Guards against a half import, a look that leaves traces, and faults that nobody can find.
  test(`${isolation}: all rows or none, unless in parts; a dry run changes nothing`, async (t) => {
    const { admin, events, verdict } = await startImports(t, isolation);
    await upload(admin, file(row("A"), row("B")));
    const before = await productsOf(admin);
    const bad = file(row("A", 200), row("C"), row("D", "4.75"), row("C"), row("B"));
    const errors = [
      {
        line: 4,
        column: "priceMinor",
        value: "4.75",
        code: "ERR_REQUEST_INVALID",
        message: "must be a whole number in the currency's smallest unit: 475 for 4.75",
      },
      {
        line: 5,
        column: "sku",
        value: "C",
        code: "ERR_ORDERS_IMPORT_SKU_REPEATED",
        message: "is on line 3 too",
      },
    ];
    for (const query of ["", "?dryRun=true"]) {
      const refused = await upload(admin, bad, query);
      assert.equal(
        refusal(refused),
        "422 ERR_ORDERS_IMPORT_REFUSED /4/priceMinor /5/sku",
        refused.text,
      );
      assert.deepEqual(
        refused.body.errors.map(({ path: _, ...error }: { path: string }) => error),
        errors,
      );
      const { rows, failed, errorsOmitted } = refused.body;
      assert.deepEqual([rows, failed, errorsOmitted], [5, 2, 0]);
    }
    const counts = { rows: 5, created: 1, updated: 1, unchanged: 1, failed: 2, errorsOmitted: 0 };
    const looked = await upload(admin, bad, "?dryRun=true&partial=true");
    assert.deepEqual([looked.status, looked.body], [200, { ...counts, dryRun: true, errors }]);
    assert.deepEqual(await productsOf(admin), before);
    assert.equal((await events()).length, 2);

    const done = await upload(admin, bad, "?partial=true");
    assert.deepEqual([done.status, done.body], [200, { ...counts, dryRun: false, errors }]);
    const after = await productsOf(admin);
    assert.deepEqual([...after.keys()].sort(), ["A", "B", "C"]);
    assert.deepEqual(after.get("B"), before.get("B"));
    assert.equal(after.get("A")?.priceMinor, 200);
    assert.deepEqual(await verdict(), [true, 4]);
  });

  // Guards against an import that reaches another tenant, or is everybody's.
  test(`${isolation}: only who may import does, and only in its own tenant`, async (t) => {
    const { admin, user, stranger, nobody } = await startImports(t, isolation);
    await upload(stranger, file(row("A", 1)));
    assert.equal(refusal(await upload(user, file(row("A")))), "403 ERR_ACCESS_FORBIDDEN");
    assert.equal(refusal(await upload(nobody, file(row("A")))), "401 ERR_IDENTITY_UNAUTHENTICATED");
    assert.equal((await upload(admin, file(row("A", 2)))).body.created, 1);
    assert.equal((await productsOf(stranger)).get("A")?.priceMinor, 1);
    assert.equal((await productsOf(user)).get("A")?.priceMinor, 2);
  });

  // Guards against a repeated upload that undoes what was changed in between.
  test(`${isolation}: an Idempotency-Key knows its file`, async (t) => {
    const { admin } = await startImports(t, isolation);
    for (const [query, sku] of [
      ["", "A"],
      ["?partial=true", "B"],
    ] as const) {
      const send = (priceMinor: number) =>
        upload(admin, file(row(sku, priceMinor)), query, { "idempotency-key": `file ${sku}` });
      const first = await send(100);
      await upload(admin, file(row(sku, 200)));
      const again = await send(100);
      assert.deepEqual([again.status, again.headers["idempotent-replayed"]], [200, "true"]);
      assert.equal(again.text, first.text);
      assert.equal((await productsOf(admin)).get(sku)?.priceMinor, 200);
      assert.equal(refusal(await send(101)), "422 ERR_REQUEST_IDEMPOTENCY_KEY_REUSED");
    }
    const refused = () =>
      upload(admin, file(row("C", -1)), "", { "idempotency-key": "refused" }).then(refusal);
    assert.deepEqual([await refused(), await refused()], Array(2).fill(await refused()));
  });
}

// Guards against a file that has to fit into memory.
test("a file of 24 MB is read in less memory than that", async () => {
  const code = `
    import { withSpool } from "#kernel/http/spool.ts";
    import { checkImport } from "./changes/import.ts";
    const rows = 40_000;
    const text = "x".repeat(560);
    await withSpool(async (file) => {
      await file.append("sku,title,ingredients,priceMinor,vatRate\\n");
      for (let n = 0; n < rows; n += 1_000) {
        const some = Array.from({ length: 1_000 }, (_, at) => n + at);
        const lines = some.map((at) => "SKU-" + at + ",Thing," + text + ",100,zero\\n");
        await file.append(lines.join(""));
      }
      const { rows: read, failed } = await checkImport(file);
      console.log(read, failed);
    });`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--max-old-space-size=28", "--input-type=module", "-e", code],
    { cwd: import.meta.dirname },
  );
  assert.equal(stdout, "40000 0\n");
});
