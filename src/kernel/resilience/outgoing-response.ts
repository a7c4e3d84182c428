import { pipeline } from "node:stream";
import type { Duplex, Readable } from "node:stream";
import { createBrotliDecompress, createGunzip } from "node:zlib";
import { outgoingErrors, toOutgoingProblem } from "./outgoing-errors.ts";

export interface OutgoingResponse {
  readonly status: number;
  readonly ok: boolean;
  /** Names in lower case; several values of a name joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the answer came from, after redirects. */
  readonly url: string;
  /** The decompressed body as it arrives; breaks off with `ERR_OUTGOING_TOO_LARGE`. Read once. */
  stream(): AsyncIterable<Uint8Array>;
  bytes(): Promise<Buffer>;
  /** As UTF-8. */
  text(): Promise<string>;
  /** Throws `ERR_OUTGOING_NOT_JSON`. */
  json(): Promise<unknown>;
  /** Gives the connection up when the body isn't wanted. */
  discard(): void;
}

export interface Exchange {
  method: string;
  url: URL;
  maxBytes: number;
  signal: AbortSignal;
  /** Ends the deadline; called once the body is read, discarded or lost. */
  end(): void;
}

type Headers = Readonly<Record<string, string>>;

/** One text per header. */
export function flatHeaders(headers: Record<string, string | string[] | undefined>): Headers {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return flat;
}

function tooLarge({ maxBytes, url }: Exchange) {
  return outgoingErrors.too_large({
    detail: `The answer of ${url.host} has more than ${maxBytes} bytes.`,
  });
}

/** A decoder for the one encoding that was applied, or null where there is none. */
function decoderFor(headers: Headers, { url }: Exchange): Duplex | null {
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return null;
  if (encoding === "gzip" || encoding === "x-gzip") return createGunzip();
  if (encoding === "br") return createBrotliDecompress();
  throw outgoingErrors.bad_response({
    detail: `The answer of ${url.host} has an encoding that was not asked for.`,
  });
}

interface Size {
  bytes: number;
}

async function* counted(source: AsyncIterable<Uint8Array>, exchange: Exchange, size: Size) {
  for await (const chunk of source) {
    size.bytes += chunk.length;
    if (size.bytes > exchange.maxBytes) throw tooLarge(exchange);
    yield chunk;
  }
}

/** What a decoder may have read before it has to have answered at least half as much. */
const decoderLeadBytes = 131_072;

/**
 * The body decompressed, and counted before and after: a small bomb grows only to the limit, and
 * one that decompresses to nothing (empty gzip members, which cost much time and no memory) is
 * noticed.
 */
async function* decoded(body: Readable, decoder: Duplex, exchange: Exchange) {
  const before: Size = { bytes: 0 };
  const after: Size = { bytes: 0 };
  const raw = async function* (source: AsyncIterable<Uint8Array>) {
    for await (const chunk of counted(source, exchange, before)) {
      if (before.bytes > decoderLeadBytes + 2 * after.bytes) {
        const detail = `The answer of ${exchange.url.host} decompresses to next to nothing.`;
        throw outgoingErrors.bad_response({ detail });
      }
      yield chunk;
    }
  };
  // The iteration of the decoder reports the pipeline's error.
  pipeline(body, raw, decoder, () => {});
  yield* counted(decoder, exchange, after);
}

async function* read(
  body: Readable,
  headers: Headers,
  exchange: Exchange,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { method, signal, url } = exchange;
  try {
    const decoder = method === "HEAD" ? null : decoderFor(headers, exchange);
    if (decoder) yield* decoded(body, decoder, exchange);
    else yield* counted(body, exchange, { bytes: 0 });
  } catch (error) {
    throw toOutgoingProblem(signal.aborted ? signal.reason : error, url.host);
  } finally {
    body.destroy();
    exchange.end();
  }
}

/** Wraps an answer whose body has not been read. */
export function responseOf(
  status: number,
  headers: Headers,
  body: Readable,
  exchange: Exchange,
): OutgoingResponse {
  // A body that nobody reads fails at the deadline, and nobody would be listening.
  body.on("error", () => {});
  const discard = () => {
    body.destroy();
    exchange.end();
  };
  const announcedBytes = Number(headers["content-length"] ?? 0);
  if (announcedBytes > exchange.maxBytes && exchange.method !== "HEAD") {
    discard();
    throw tooLarge(exchange);
  }
  const stream = () => read(body, headers, exchange);
  const bytes = async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream()) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const text = async () => new TextDecoder().decode(await bytes());
  return {
    status,
    ok: status >= 200 && status < 300,
    headers,
    url: exchange.url.href,
    stream,
    bytes,
    text,
    async json() {
      const content = await text();
      try {
        return JSON.parse(content) as unknown;
      } catch (error) {
        const detail = `The answer of ${exchange.url.host} is not JSON.`;
        throw outgoingErrors.not_json({ cause: error, detail });
      }
    },
    discard,
  };
}
