import { connect, type Server, type Socket } from "node:net";
import { isAlive, type Proc } from "./process-proc.ts";

/**
 * A program, not a module: stands in the network of a container and hands on what comes in at
 * listening sockets that the server, in the host's network, has sent it. So the container's ports
 * can be reached, while it can reach nothing itself. Its argument is the container's first process.
 */

const lookEveryMs = 1_000;
const connectionsAtMost = 256;

const init = JSON.parse(process.argv[2] as string) as Proc;
let connections = 0;

function handOn(caller: Socket, port: number): void {
  if (connections >= connectionsAtMost) {
    caller.destroy();
    return;
  }
  connections += 1;
  const inside = connect({ port, host: "localhost", allowHalfOpen: true });
  const end = () => {
    caller.destroy();
    inside.destroy();
  };
  caller.on("error", end).on("close", () => {
    connections -= 1;
    end();
  });
  inside.on("error", end).on("close", end);
  caller.pipe(inside);
  inside.pipe(caller);
}

process.on("message", ({ port }: { port: number }, server: Server) => {
  // One who has said all may still want to hear the answer.
  Object.assign(server, { allowHalfOpen: true });
  server.on("connection", (caller: Socket) => handOn(caller, port));
  process.send?.({ port });
});
process.on("disconnect", () => process.exit(0));
setInterval(() => {
  if (!isAlive(init)) process.exit(0);
}, lookEveryMs);
