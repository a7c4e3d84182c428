export interface OutgoingInit {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  /** Largest body accepted after decompression; 10 MiB by default. */
  maxBytes?: number;
  /** Limit of the whole exchange with its redirects; 30 s by default. */
  timeoutMs?: number;
  /** 5 by default; 0 answers the redirect itself. */
  maxRedirects?: number;
  signal?: AbortSignal;
}

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
  text(): Promise<string>;
  /** Throws `ERR_OUTGOING_NOT_JSON`. */
  json(): Promise<unknown>;
  /** Gives the connection up when the body isn't wanted. */
  discard(): void;
}

export interface AllowedTarget {
  readonly url: URL;
  /** Checked addresses; whoever connects by other means must connect to one of these. */
  readonly addresses: readonly string[];
}

/** Requests to addresses that a tenant has named: never to private ones unless allow-listed. */
export interface Outgoing {
  fetch(url: string, init?: OutgoingInit): Promise<OutgoingResponse>;
  /** Throws `ERR_OUTGOING_PRIVATE_ADDRESS`, `_BAD_URL` or `_UNREACHABLE`. */
  assertAllowed(url: string): Promise<AllowedTarget>;
  close(): Promise<void>;
}
