import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { noProcessRuntime } from "./fixtures/process-runtime.ts";
import { startReal } from "./fixtures/reaching.ts";

/** Answers each request with its head, on port 8080. */
const perlServer = [
  "perl",
  "-MIO::Socket::INET",
  "-e",
  `$SIG{PIPE} = "IGNORE";
   my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 8080, ReuseAddr => 1) or die;
   while (my $c = $s->accept) {
     my $head = "";
     while (my $line = <$c>) { last if $line =~ /^\\r?\\n$/; $head .= $line }
     print $c "HTTP/1.1 200 OK\\r\\nContent-Length: " . length($head) . "\\r\\n\\r\\n" . $head;
     close $c;
   }`,
];

/** The same with what a small image has: its own answer is what a program there was told. */
const shellServer = [
  "sh",
  "-c",
  `mkdir -p /tmp/www/cgi-bin && cd /tmp/www && cat > cgi-bin/env <<'END' &&
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
env
END
   chmod +x cgi-bin/env && exec httpd -f -p 8080 -h /tmp/www`,
];

async function reachPort(
  t: TestContext,
  {
    image,
    env,
    command,
    path,
  }: Record<"image" | "path", string> & {
    env: Record<string, string>;
    command: string[];
  },
): Promise<void> {
  const { admin, fetch: send } = await startReal(t, env);
  const wanted = { image, command, ports: [8_080, 8_081], cpuMillis: 500, memoryMb: 128 };
  const { body: lease, text } = await admin.post("/leases?wait=30", { ...wanted, ttlSeconds: 600 });
  assert.equal(lease.state, "running", text);
  const at = `/leases/${lease.id}/ports`;
  assert.equal(new URL(lease.ports[0].url).pathname, `/api/v1${at}/8080/`);
  await eventually(async () => {
    const answer = await send(`${at}/8080/${path}`);
    await answer.arrayBuffer();
    return answer.status === 200;
  }, "a program that listens");
  const answer = await send(`${at}/8080/${path}`, { headers: { cookie: "a=secret" } });
  const said = await answer.text();
  assert.match(said, /localhost:8080/);
  assert.match(said, /plimsoll/i);
  assert.doesNotMatch(said, /Bearer|secret/);
  assert.equal(answer.headers.get("via"), "1.1 plimsoll");
  assert.equal((await send(`${at}/8081/`)).status, 502);
  assert.equal((await send(`${at}/22/`)).status, 404);
}

const reason = await noProcessRuntime();

// Guards against ports that only a stand-in for an engine has.
test("a port of a plain process is reached over HTTP", { skip: reason }, (t) =>
  reachPort(t, {
    image: "alpine",
    env: { LEASES_RUNTIME: "process" },
    command: perlServer,
    path: "x",
  }),
);

// Guards against the same.
test("a port of a container of a real Docker Engine is reached over HTTP", async (t) => {
  const host = await requireService(t, "docker");
  if (host === null) return;
  const image = testImage();
  const env = { LEASES_RUNTIME: "docker", DOCKER_HOST: host, LEASES_ALLOWED_IMAGES: image };
  await reachPort(t, { image, env, command: shellServer, path: "cgi-bin/env" });
});
