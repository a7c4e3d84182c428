import { defineFaultPoints } from "#kernel/resilience/fault-points.ts";

/** Where leases can be told to go wrong: between any two parts of what must not be half done. */
export const leasesFaultPoints = defineFaultPoints({
  "leases.create.intent": {
    title: "A lease is written and its container not made: whoever comes next makes it",
  },
  "leases.create.container": {
    title: "A container is made and not started: it is found by its name",
  },
  "leases.create.start": {
    title: "A container runs and its lease does not say so: it is adopted, and paid for from then",
  },
  "leases.create.running": {
    title: "A lease is about to say that it runs: it does, or the container is adopted later",
  },
  "leases.warm.intent": {
    title: "A container to be kept ready is written down and not made: whoever comes next makes it",
  },
  "leases.warm.container": {
    title: "A container to be kept ready is made and not started: it is found by its name",
  },
  "leases.warm.ready": {
    title: "A container runs and nobody knows that it is ready: it is found by its name",
  },
  "leases.warm.claim": {
    title: "A lease has got a container that was ready and is not committed: it is ready again",
  },
  "leases.warm.remove": {
    title: "A container that was ready is to go and is there: it is removed later",
  },
  "leases.renew.commit": {
    title: "A renewal is worked out and not committed: the lease ends when it would have ended",
  },
  "leases.pause.intent": { title: "A lease is to be paused and runs: it is paused later" },
  "leases.pause.container": {
    title: "A container stands still and its lease runs: pausing it again changes nothing",
  },
  "leases.resume.intent": { title: "A lease is to go on and stands still: it goes on later" },
  "leases.resume.container": {
    title: "A container goes on and its lease is paused: resuming it again changes nothing",
  },
  "leases.snapshot.intent": { title: "A snapshot is written and not taken: it is taken later" },
  "leases.snapshot.image": {
    title: "A snapshot is taken and not written down: it is taken again under the same name",
  },
  "leases.snapshot.commit": {
    title: "A snapshot is about to be ready: it is, or it is taken again",
  },
  "leases.snapshot.delete": {
    title: "A snapshot is to be deleted and its image is there: it is removed later",
  },
  "leases.expire.intent": {
    title:
      "A lease's end is decided and its container runs: nobody can renew it, and it is removed",
  },
  "leases.expire.stop": { title: "A container is stopped and there: it is removed later" },
  "leases.expire.container": {
    title: "A container is gone and its lease not over: removing it again changes nothing",
  },
  "leases.expire.commit": {
    title: "A lease is about to be over: it is, with its money and quota, or none of it is",
  },
  "leases.delete.intent": {
    title: "A lease is released and its container runs: it is removed, and costs nothing more",
  },
  "leases.delete.stop": { title: "A container is stopped and there: it is removed later" },
  "leases.delete.container": {
    title: "A container is gone and its lease not over: removing it again changes nothing",
  },
  "leases.delete.commit": {
    title:
      "A released lease is about to be over: it is, with its money and quota, or none of it is",
  },
});
