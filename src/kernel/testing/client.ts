import type { App } from "../http/types.ts";

export interface TestResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly text: string;
  /** As they were sent, for what is not text. */
  readonly bytes: Buffer;
  /** Parsed when the answer is JSON; else null. */
  // biome-ignore lint/suspicious/noExplicitAny: tests assert what it is
  readonly body: any;
}

type Headers = Record<string, string>;
type Send = (path: string, body?: unknown, headers?: Headers) => Promise<TestResponse>;
type Ask = (path: string, headers?: Headers) => Promise<TestResponse>;

/** Calls the server as somebody. Paths get /api/v1 in front unless they lie outside of it. */
export interface Client {
  get: Ask;
  post: Send;
  put: Send;
  patch: Send;
  delete: Ask;
  /** Any method, path as it is, body as it is. */
  raw(
    method: string,
    path: string,
    body?: string | Buffer,
    headers?: Headers,
  ): Promise<TestResponse>;
}

const outside = /^\/(api|\.well-known|health|ready|metrics|docs|openapi\.json)(\/|$|\?)/;
const pathOf = (path: string) => (outside.test(path) ? path : `/api/v1${path}`);

/** `credentials` answers the headers of whoever calls; asked before each request. */
export function createClient(app: App, credentials: () => Promise<Headers>): Client {
  const raw: Client["raw"] = async (method, path, body, headers = {}) => {
    const answer = await app.inject({
      method: method as "GET",
      url: path,
      headers: { ...(await credentials()), ...headers },
      ...(body !== undefined && { payload: body }),
    });
    const type = answer.headers["content-type"] ?? "";
    return {
      status: answer.statusCode,
      headers: answer.headers as Record<string, string>,
      text: answer.payload,
      bytes: answer.rawPayload,
      body: /[/+]json/.test(type) && answer.payload !== "" ? JSON.parse(answer.payload) : null,
    };
  };
  const send =
    (method: string): Send =>
    (path, body, headers) =>
      body === undefined
        ? raw(method, pathOf(path), undefined, headers)
        : raw(method, pathOf(path), JSON.stringify(body), {
            "content-type": "application/json",
            ...headers,
          });
  const ask =
    (method: string): Ask =>
    (path, headers) =>
      raw(method, pathOf(path), undefined, headers);
  return {
    get: ask("GET"),
    post: send("POST"),
    put: send("PUT"),
    patch: send("PATCH"),
    delete: ask("DELETE"),
    raw,
  };
}
