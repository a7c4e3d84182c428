#!/usr/bin/env node
// The way in for everything: works with nothing installed. Kept in old syntax so that an old Node
// can read it and say what is wrong; the work is in bootstrap.mjs, which is loaded afterwards.
var version = process.versions.node.split(".").map(Number);

if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
  console.error(
    "Plimsoll needs Node.js 20.19 or newer to start (it then brings its own Node 24); this is " +
      process.version +
      " at " +
      process.execPath +
      ".\nInstall a newer one from https://nodejs.org and run the command again.",
  );
  process.exit(1);
} else {
  import("./bootstrap.mjs").then(
    function (bootstrap) {
      return bootstrap.main(process.argv.slice(2));
    },
    function (error) {
      console.error(error);
      process.exit(1);
    },
  );
}
