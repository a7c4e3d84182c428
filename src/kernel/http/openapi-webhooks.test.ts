import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { defineEvents, mergeEvents } from "../events/catalogue.ts";
import { openApiFaults } from "../testing/openapi.ts";
import { openApiDocument } from "./openapi.ts";
import { Id, strict } from "./schemas.ts";

// Guards against a receiver who has to guess what will be sent, and against examples of nothing.
test("every event is documented as a webhook, with its data and its signature", () => {
  const Shop = strict({ id: Id, name: Type.String({ examples: ["Deli"] }) }, { title: "Shop" });
  const events = defineEvents({
    "shop.created": { title: "A shop was opened", data: Shop },
    "product.stock_low": { title: "A product is running out" },
  });
  const document = openApiDocument([], "1.0.0", mergeEvents([{ name: "orders", events }]));
  assert.deepEqual(openApiFaults(document), []);
  assert.deepEqual(Object.keys(document.webhooks ?? {}), [
    "job.progress",
    "product.stock_low",
    "shop.created",
    "webhook.disabled",
    "webhook.ping",
  ]);
  // biome-ignore lint/suspicious/noExplicitAny: a document is looked into
  const { post } = (document.webhooks as any)["shop.created"];
  assert.deepEqual([post.operationId, post.summary], ["onShopCreated", "A shop was opened"]);
  const { schema, example } = post.requestBody.content["application/json"];
  assert.deepEqual(schema.properties.data, { $ref: "#/components/schemas/Shop" });
  assert.deepEqual(example.data, { id: example.id, name: "Deli" });
  assert.deepEqual([example.type, example.resource.type], ["shop.created", "shop"]);
  const headers = post.parameters.map(({ name }: { name: string }) => name);
  assert.deepEqual(headers, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
  assert.equal("webhooks" in openApiDocument([], "1.0.0"), false, "none without events");
});
