import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import {
  listener,
  noProcessRuntime,
  openProcessRuntime,
  processImage,
} from "../fixtures/process-runtime.ts";
import { runtimeAcceptance } from "../fixtures/runtime-acceptance.ts";

const folder = mkdtempSync(join(tmpdir(), "plm-process-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = await noProcessRuntime();
const common = {
  image: processImage,
  missingImage: "process:none",
  listener,
  environment: process.env,
};

// Guards against a runtime that is none: what every engine must do, done by plain processes.
runtimeAcceptance("process", {
  ...common,
  makeRuntime: async (installId) => openProcessRuntime(folder, installId),
  skip,
});

const onlyRoot = process.getuid?.() === 0 ? undefined : "only root can do without user namespaces";
const chosen = /nothing that it need not|way out|end with its deadline|a size|from the host|twice/;

// Guards against the same where the kernel refuses user namespaces, and the server is root.
runtimeAcceptance("rootprocess", {
  ...common,
  makeRuntime: async (installId) => openProcessRuntime(folder, installId, { modes: ["root"] }),
  only: (check) => chosen.test(check),
  skip: skip ?? onlyRoot,
});
