import assert from "node:assert/strict";
import { test } from "node:test";
import type { OpenApiDocument } from "#kernel/http/openapi.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const services = [platform];
const password = "a good password";
const unknown = "01890000-0000-7000-8000-000000000000";
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
/** In bytes, not in characters. */
const tooLong = "é".repeat(200);
const once = { "idempotency-key": "k" };

const account = (name: string, more: object = { tenant: { name: `${name} Ltd` } }) => ({
  email: `${name}@example.com`,
  password,
  name,
  ...more,
});

type Attempt = [
  operation: string,
  body: object | undefined,
  headers: Record<string, string>,
  code: string,
];

/** The codes that the document lists for an operation and a status. */
function codesOf(document: OpenApiDocument, operation: string, status: number): string[] {
  const [method = "", path = ""] = operation.split(" ");
  const template = path.replace(/[0-9a-f-]{36}$/, "{id}");
  const answer = document.paths[`/api/v1${template}`]?.[method.toLowerCase()]?.responses[status];
  const { $ref = "" } = (answer ?? {}) as { $ref?: string };
  const name = $ref.split("/").at(-1) ?? "";
  const response = document.components.responses?.[name] as
    | { content: Record<string, { examples: object }> }
    | undefined;
  return Object.keys(response?.content["application/problem+json"]?.examples ?? {});
}

interface Cast {
  /** Somebody who has registered under the key `k`, and is a member of acme too. */
  mine: Record<string, string>;
  /** An API key. */
  robot: Record<string, string>;
  /** An invitation to where they are a member already. */
  again: string;
}

async function castOf({ as }: TestApp): Promise<Cast> {
  const made = await as().post("/auth/register", account("ada"), once);
  const mine = bearer(made.body.accessToken);
  const admin = as("acme");
  const key = await admin.post("/api-keys", { name: "x", permissions: ["account:use"] });
  const invite = async () =>
    (await admin.post("/invitations", { email: "ada@example.com" })).body.token;
  const [accepted, again] = [{ invitation: await invite() }, await invite()];
  assert.equal((await as().post("/invitations/accept", accepted, mine)).status, 200);
  return { mine, robot: { "x-api-key": key.body.key }, again };
}

const registering: Attempt[] = [
  [account("ada"), {}, "IDENTITY_EMAIL_TAKEN"],
  [account("ada", { name: "x" }), once, "REQUEST_INVALID"],
  [account("eve", { invitation: "pli_x" }), {}, "IDENTITY_INVALID_INVITATION"],
  [account("eve"), { "idempotency-key": "é" }, "REQUEST_BAD_IDEMPOTENCY_KEY"],
  [{ ...account("ada"), name: "Eve" }, once, "REQUEST_IDEMPOTENCY_KEY_REUSED"],
  [account("eve", { tenant: { name: "x", slug: "api" } }), {}, "TENANCY_RESERVED_SLUG"],
  [account("eve", { tenant: { name: "x", slug: unknown } }), {}, "TENANCY_INVALID_SLUG"],
  [account("eve", { tenant: { name: "x", slug: "ada-ltd" } }), {}, "TENANCY_SLUG_TAKEN"],
  [{ ...account("eve"), email: "a b@c.de" }, {}, "IDENTITY_INVALID_EMAIL"],
  [{ ...account("eve"), password: tooLong }, {}, "IDENTITY_WEAK_PASSWORD"],
].map((rest) => ["POST /auth/register", ...rest] as Attempt);

function signingIn({ mine, robot, again }: Cast): Attempt[] {
  const login = (more: object) => ({ email: "ada@example.com", password, ...more });
  return [
    ["POST /auth/login", login({ password: "x" }), {}, "IDENTITY_INVALID_CREDENTIALS"],
    ["POST /auth/login", login({ tenant: "nowhere" }), {}, "IDENTITY_NO_TENANT"],
    ["POST /auth/login", login({ invitation: "pli_x" }), {}, "IDENTITY_INVALID_INVITATION"],
    ["POST /auth/login", login({ invitation: again }), {}, "IDENTITY_ALREADY_MEMBER"],
    ["POST /auth/refresh", {}, {}, "IDENTITY_INVALID_REFRESH_TOKEN"],
    ["POST /auth/logout", undefined, bearer("nonsense"), "IDENTITY_INVALID_TOKEN"],
    ["POST /auth/logout", undefined, { ...mine, ...robot }, "IDENTITY_AMBIGUOUS_CREDENTIALS"],
    ["POST /auth/switch-tenant", { tenant: "nowhere" }, mine, "IDENTITY_NO_TENANT"],
    ["POST /auth/switch-tenant", { tenant: "acme" }, robot, "IDENTITY_USERS_ONLY"],
    ["POST /invitations/accept", { invitation: "pli_x" }, mine, "IDENTITY_INVALID_INVITATION"],
    ["POST /invitations/accept", { invitation: again }, mine, "IDENTITY_ALREADY_MEMBER"],
    ["POST /invitations/accept", { invitation: "pli_x" }, robot, "IDENTITY_USERS_ONLY"],
    ["GET /auth/oidc/start", undefined, {}, "IDENTITY_SSO_OFF"],
  ];
}

function ownAccount({ mine, robot }: Cast): Attempt[] {
  const change = (more: object) => ({ currentPassword: password, ...more });
  const toSame = change({ newPassword: password });
  const byWrong = change({ currentPassword: "x", newPassword: "another one" });
  const toTooLong = change({ newPassword: tooLong });
  return [
    ["GET /auth/me", undefined, {}, "IDENTITY_UNAUTHENTICATED"],
    ["GET /auth/me", undefined, bearer("nonsense"), "IDENTITY_INVALID_TOKEN"],
    ["GET /auth/me", undefined, { "x-api-key": "plm_x" }, "IDENTITY_INVALID_API_KEY"],
    ["GET /auth/me", undefined, { ...mine, ...robot }, "IDENTITY_AMBIGUOUS_CREDENTIALS"],
    ["GET /auth/me", undefined, robot, "IDENTITY_USERS_ONLY"],
    ["GET /auth/sessions", undefined, robot, "IDENTITY_USERS_ONLY"],
    [`GET /auth/sessions/${unknown}`, undefined, mine, "REQUEST_NOT_FOUND"],
    [`DELETE /auth/sessions/${unknown}`, undefined, mine, "REQUEST_NOT_FOUND"],
    [`DELETE /auth/sessions/${unknown}`, undefined, robot, "IDENTITY_USERS_ONLY"],
    ["POST /auth/change-password", byWrong, mine, "IDENTITY_WRONG_PASSWORD"],
    ["POST /auth/change-password", toSame, mine, "IDENTITY_SAME_PASSWORD"],
    ["POST /auth/change-password", toTooLong, mine, "IDENTITY_WEAK_PASSWORD"],
    ["POST /auth/totp/enroll", undefined, robot, "IDENTITY_USERS_ONLY"],
    ["POST /auth/totp/confirm", { code: "123456" }, mine, "IDENTITY_TOTP_NOT_ENROLLED"],
    ["POST /auth/totp/disable", { code: "123456" }, mine, "IDENTITY_TOTP_NOT_ENROLLED"],
    ["POST /auth/totp/disable", { password: "x" }, mine, "IDENTITY_WRONG_PASSWORD"],
  ];
}

// Guards against clients that meet an answer of which the documentation says nothing.
test("every refusal that signing in can give is documented where it is given", async (t) => {
  const app = await startTestApp(t, { services });
  const document = (await app.as().get("/openapi.json")).body as OpenApiDocument;
  const missing: string[] = [];
  const cast = await castOf(app);
  const attempts = [...registering, ...signingIn(cast), ...ownAccount(cast)];
  for (const [operation, body, headers, code] of attempts) {
    const [method = "", path = ""] = operation.split(" ");
    const type = { "content-type": "application/json" };
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent = { ...headers, ...(text === undefined ? {} : type) };
    const answer = await app.as().raw(method, `/api/v1${path}`, text, sent);
    assert.equal(answer.body?.code, `ERR_${code}`, `${operation}: ${answer.text}`);
    const codes = codesOf(document, operation, answer.status);
    if (!codes.includes(`ERR_${code}`)) missing.push(`${operation}: ${answer.status} ${code}`);
  }
  assert.deepEqual(missing, []);
});

// Guards against limits that nobody was told of.
test("where a code or a password can be guessed, 429 says so", async (t) => {
  const { as } = await startTestApp(t, { services });
  const document = (await as().get("/openapi.json")).body as OpenApiDocument;
  for (const path of ["register", "login", "change-password", "totp/confirm", "totp/disable"]) {
    const codes = codesOf(document, `POST /auth/${path}`, 429);
    assert.ok(codes.includes("ERR_IDENTITY_TOO_MANY_ATTEMPTS"), path);
  }
});
