// Loaded into every test file by test.ts. A file whose tests are done but whose process lives on
// has left a socket, a timer or a child behind: it is failed by name, with what holds it, instead
// of keeping the whole run waiting or being forced to exit unnoticed.
import { relative } from "node:path";
import { after } from "node:test";

const graceMs = Number(process.env.PLIMSOLL_TEST_GRACE_MS ?? 10_000);

after(() => {
  setTimeout(() => {
    const file = relative(process.cwd(), process.argv[1] ?? "");
    const holders = process.getActiveResourcesInfo().filter((kind) => kind !== "PipeWrap");
    console.error(
      `${file} left handles behind: ${graceMs / 1000} s after its last test the process is kept ` +
        `alive by ${holders.join(", ") || "something unknown"}.`,
    );
    process.exit(1);
  }, graceMs).unref();
});
