// Loaded into the program by bootstrap.mjs, which holds the other end of an IPC channel. When the
// launcher dies without a word (kill -9), the program would go on unseen with its port taken: it is
// told to stop instead, the same way as a person would.
if (process.channel) {
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}
