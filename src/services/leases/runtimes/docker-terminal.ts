import { systemClock } from "#kernel/clock.ts";
import type { Engine } from "./docker-engine.ts";
import { isUnavailable } from "./docker-errors.ts";
import { killStarted, settled, type Started, startExec } from "./docker-exec.ts";
import type { Terminal } from "./types.ts";

interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The best shell of an image that names none. */
const anyShell = [
  "/bin/sh",
  "-c",
  "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi",
];

const sizeTries = 20;

/** A program that has just been started may not have its terminal yet: the engine answers 500. */
async function setSize(engine: Engine, { execId }: Started, size: Size): Promise<void> {
  const request = {
    method: "POST",
    path: `/exec/${execId}/resize`,
    query: { h: size.rows, w: size.columns },
    accept: [200, 201, 204, 404, 409, 500],
  } as const;
  for (let attempt = 0; attempt < sizeTries; attempt += 1) {
    const { status } = await engine.ask("set the terminal's size", request);
    if (status !== 500) return;
    await systemClock.sleep(25);
  }
}

/**
 * Starts a program at a pseudo-terminal. When its connection ends while it runs it is ended too:
 * nobody could ever reach it again.
 */
export async function openTerminal(
  engine: Engine,
  containerId: string,
  size: Size,
  command: readonly string[] | null,
): Promise<Terminal> {
  const started = await startExec(engine, containerId, {
    command: command ?? anyShell,
    hasStdin: true,
    hasTerminal: true,
    env: ["TERM=xterm-256color"],
  });
  const { socket } = started;
  const { promise: ending, resolve: onEnd } = Promise.withResolvers<"over" | "lost">();
  socket.once("end", () => onEnd("over"));
  socket.once("close", () => onEnd("lost"));
  let wasKilled = false;
  const kill = async () => {
    wasKilled = true;
    await killStarted(engine, started);
    socket.destroy();
  };
  const outcome = async (): Promise<number | null> => {
    const isOver = (await ending) === "over" && !wasKilled;
    try {
      const state = isOver ? await settled(engine, started) : null;
      if (state !== null && state.ExitCode !== null) return state.ExitCode;
      if (!wasKilled) await kill();
    } catch (error) {
      engine.options.log.warn({ err: error }, "a terminal's program may still run");
      if (!isUnavailable(error)) throw error;
    } finally {
      socket.destroy();
    }
    return null;
  };
  const exited = outcome();
  // Whoever does not wait for the end need not hear of its failure; it is logged.
  exited.catch(() => {});
  await setSize(engine, started, size);
  return {
    stream: socket,
    resize: (columns, rows) => setSize(engine, started, { columns, rows }),
    exited,
    kill,
  };
}
