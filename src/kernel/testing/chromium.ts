import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a page did while it was looked at. */
export interface Visit {
  /** Every address that it asked for. */
  requests: string[];
  /** What the browser complained of: errors in the console, blocked styles and scripts. */
  complaints: string[];
  /** Its text as a reader sees it. */
  text: string;
}

interface Message {
  id?: number;
  method?: string;
  // biome-ignore lint/suspicious/noExplicitAny: the protocol's own shapes
  params?: any;
  // biome-ignore lint/suspicious/noExplicitAny: the protocol's own shapes
  result?: any;
}

const START_TIMEOUT_MS = 20_000;
const VISIT_TIMEOUT_MS = 20_000;
const LOOK_AGAIN_MS = 100;

/**
 * Opens `url` in Chromium and looks until its text matches `shows`; by the DevTools protocol,
 * without a library. Rejects when the text doesn't come in time.
 */
export async function visit(chromium: string, url: string, shows: RegExp): Promise<Visit> {
  const profile = mkdtempSync(join(tmpdir(), "plimsoll-chromium-"));
  const browser = spawn(
    chromium,
    [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--no-first-run",
      `--user-data-dir=${profile}`,
      "--remote-debugging-port=0",
      "about:blank",
    ],
    // Killed, it leaves its temporary files behind; there they go with the profile.
    { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, TMPDIR: profile } },
  );
  const ended = new Promise((resolve) => browser.once("exit", resolve));
  try {
    return await look(await endpoint(browser.stderr), url, shows);
  } finally {
    browser.kill("SIGKILL");
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** Where the browser listens, which it says on its standard error. */
function endpoint(output: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(
      () => reject(new Error(`Chromium did not start: ${text}`)),
      START_TIMEOUT_MS,
    );
    output.on("data", (chunk) => {
      text += chunk;
      const [found] = /ws:\/\/\S+/.exec(text) ?? [];
      if (!found) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
}

async function look(address: string, url: string, shows: RegExp): Promise<Visit> {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  const waiting = new Map<number, (result: Message["result"]) => void>();
  const visited: Visit = { requests: [], complaints: [], text: "" };
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message.result);
    else note(visited, message);
  });
  let calls = 0;
  const call = (method: string, params: object, sessionId?: string) =>
    new Promise<Message["result"]>((resolve) => {
      calls += 1;
      waiting.set(calls, resolve);
      socket.send(JSON.stringify({ id: calls, method, params, sessionId }));
    });
  const { targetId } = await call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  for (const domain of ["Network", "Page", "Runtime", "Log"])
    await call(`${domain}.enable`, {}, sessionId);
  await call("Page.navigate", { url }, sessionId);
  const read = { expression: "document.body.innerText" };
  for (let leftMs = VISIT_TIMEOUT_MS; leftMs > 0; leftMs -= LOOK_AGAIN_MS) {
    const { result } = await call("Runtime.evaluate", read, sessionId);
    visited.text = String(result?.value ?? "");
    if (shows.test(visited.text)) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  socket.close();
  if (shows.test(visited.text)) return visited;
  throw new Error(`${url} shows ${JSON.stringify(visited)}`);
}

function note(visited: Visit, { method, params }: Message): void {
  if (method === "Network.requestWillBeSent") visited.requests.push(params.request.url);
  if (method === "Runtime.exceptionThrown") visited.complaints.push(params.exceptionDetails.text);
  if (method === "Log.entryAdded" && params.entry.level === "error") {
    visited.complaints.push(params.entry.text);
  }
}
