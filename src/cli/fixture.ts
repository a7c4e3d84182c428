import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { run } from "./main.ts";

/** A home folder that is gone after the test. */
export async function temporaryHome(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "plimsoll-cli-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  home: string;
  env?: Record<string, string>;
  stdin?: string;
  /** The same, typed at a terminal. */
  typed?: string;
  /** Both outputs are a terminal this wide. */
  terminalColumns?: number;
}

function collector(columns: number | undefined) {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  const terminal = columns === undefined ? {} : { isTTY: true, columns };
  const text = () => Buffer.concat(chunks).toString("utf8");
  return { stream: Object.assign(stream, terminal) as unknown as NodeJS.WriteStream, text };
}

/** Runs a command line in this process, with a home, environment and streams of its own. */
export async function runCli(argv: readonly string[], options: RunOptions): Promise<Finished> {
  const { typed, stdin = "", terminalColumns = typed === undefined ? undefined : 80 } = options;
  const stdout = collector(terminalColumns);
  const stderr = collector(terminalColumns);
  const input = Object.assign(Readable.from([typed ?? stdin]), { isTTY: typed !== undefined });
  const code = await run(argv, {
    env: options.env ?? {},
    homeDir: options.home,
    stdin: input as unknown as NodeJS.ReadStream,
    stdout: stdout.stream,
    stderr: stderr.stream,
  });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

export interface Received {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Another party that answers as it is told: for what a sound server never does. */
export async function startStub(
  t: TestContext,
  answer: (request: Received, response: ServerResponse) => void,
): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    let body = "";
    request.setEncoding("utf8").on("data", (text) => {
      body += text;
    });
    request.once("end", () => {
      const entry = { method, url, headers, body };
      received.push(entry);
      answer(entry, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

/** Answers with JSON. */
export function json(response: ServerResponse, status: number, value: unknown): void {
  const type = status < 400 ? "application/json" : "application/problem+json";
  response.writeHead(status, { "content-type": type }).end(JSON.stringify(value));
}
