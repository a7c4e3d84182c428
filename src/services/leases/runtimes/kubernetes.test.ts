import { after, before } from "node:test";
import { type KubernetesHouse, kubernetesHouse } from "../fixtures/kubernetes-house.ts";
import { listener, noProcessRuntime, processImage } from "../fixtures/process-runtime.ts";
import { runtimeAcceptance } from "../fixtures/runtime-acceptance.ts";

const skip = await noProcessRuntime();
let house: KubernetesHouse;
before(async () => {
  if (skip === undefined) house = await kubernetesHouse();
});
after(async () => house?.close());

// Guards against a runtime that is none: what every engine must do, done by a cluster's stand-in.
runtimeAcceptance("kubernetes", {
  makeRuntime: async (installId) => house.open(installId),
  image: processImage,
  missingImage: "process:none",
  listener,
  environment: process.env,
  lacks: {
    exitAfterStop: "a stop removes the pod",
    pause: "pods don't pause",
    pids: "the node limits them, and does not tell how",
    snapshot: "pods have no snapshots",
    stderr: "nodes don't tell the outputs apart",
  },
  skip,
});
