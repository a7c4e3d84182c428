import assert from "node:assert/strict";
import { test } from "node:test";
import { defineErrors, requestErrors } from "../errors.ts";
import { visit } from "../testing/chromium.ts";
import { requireService } from "../testing/services.ts";
import { errorList } from "./docs.ts";
import { testHttp } from "./fixture.ts";
import { strict } from "./schemas.ts";
import type { App } from "./types.ts";

const oddErrors = defineErrors("odd", { markup: { status: 418, title: '<b>Bold</b> & "quoted"' } });

function routes(app: App): void {
  const schema = { summary: "Weigh the anchor", response: { 200: strict({}) } };
  app.get("/anchor", { schema, config: { permission: "thing:read" } }, () => ({}));
}

// Guards against a problem type that leads to nothing, and codes that are documented nowhere.
test("every code has its place on the page of errors, and in its JSON", async (t) => {
  const errors = [requestErrors, oddErrors];
  const { app } = testHttp(t, routes, { options: { errors } });
  const page = await app.inject("/docs/errors");
  assert.match(String(page.headers["content-type"]), /^text\/html/);
  const listed = (await app.inject("/docs/errors.json")).json().errors;
  assert.deepEqual(listed, JSON.parse(JSON.stringify(errorList(errors))));
  assert.equal(listed.length, Object.keys(requestErrors).length + 1);
  for (const { code, status } of listed) {
    assert.ok(page.payload.includes(`<tr id="${code}">`), code);
    assert.ok(page.payload.includes(`>${status}</td>`));
  }
  assert.ok(page.payload.includes("&lt;b&gt;Bold&lt;/b&gt; &amp; &quot;quoted&quot;"));
  assert.ok(!page.payload.includes("<b>"));
});

// Guards against pages that run what somebody else wrote, or that stand in somebody else's frame.
test("pages have a strict policy and load only from here", async (t) => {
  const { app } = testHttp(t, routes);
  for (const url of ["/docs", "/docs/errors"]) {
    const { headers, payload } = await app.inject(url);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /default-src 'self'.*script-src 'self';.*frame-ancestors 'none'/);
    assert.ok(!/script-src[^;]*unsafe|\*|https?:/.test(policy), policy);
    assert.ok(!/https?:\/\//.test(payload), url);
    assert.ok(!/<script>|onclick|style=/.test(payload), url);
  }
  const script = await app.inject({
    url: "/docs/assets/reference.js",
    headers: { "accept-encoding": "gzip" },
  });
  assert.equal(script.headers["content-encoding"], "gzip");
  assert.match(String(script.headers["content-type"]), /javascript/);
  assert.equal((await app.inject("/docs/assets/docs.css")).statusCode, 200);
});

// Guards against a reference page that only works with the open network, or not under its policy.
test("a browser shows the reference and asks no other host", async (t) => {
  const chromium = await requireService(t, "chromium");
  if (chromium === null) return;
  const http = testHttp(t, () => {});
  http.mount({ name: "anchors", areas: { anchors: "What can be weighed." }, routes }, {});
  http.mount({ name: "platform", areas: { platform: "Nothing." }, routes: () => {} }, {});
  const url = await http.listen();
  const reference = await visit(chromium, `${url}/docs`, /Weigh the anchor/);
  assert.ok(reference.requests.length >= 5);
  assert.deepEqual(
    reference.requests.filter(
      (request) => !request.startsWith(`${url}/`) && !request.startsWith("data:"),
    ),
    [],
  );
  assert.deepEqual(reference.complaints, []);
  assert.match(reference.text, /What can be weighed/, "an area is explained");
  assert.doesNotMatch(reference.text, /\bplatform\b/i, "an area without operations");
  const errors = await visit(chromium, `${url}/docs/errors`, /ERR_REQUEST_CONFLICT/);
  assert.deepEqual(errors.complaints, []);
  assert.ok(
    errors.requests.every((request) => request.startsWith(url) || request.startsWith("data:")),
  );
});
