import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { selfSigned } from "../testing/certificate.ts";
import { hasCode, startOutgoing } from "./outgoing-fixture.ts";

// Guards against a connection to an address instead of a name that forgets whose certificate to ask
// for.
test("https asks for the name's certificate although it connects to an address", async (t) => {
  const trusted = selfSigned("secure.example.com");
  const strange = selfSigned("secure.example.com");
  const before = getCACertificates("default");
  setDefaultCACertificates([...before, trusted.cert]);
  t.after(() => setDefaultCACertificates(before));
  const asked: (string | undefined)[] = [];
  const serve = async (certificate: typeof trusted) => {
    const server = createServer(certificate, (request, reply) => {
      asked.push(`${(request.socket as { servername?: string }).servername}`);
      reply.end("hello");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  };
  const [good, bad] = [await serve(trusted), await serve(strange)];
  const allow = ["secure.example.com", "other.example.com", "127.0.0.1"];
  const { outgoing } = startOutgoing(t, { allow, resolve: async () => ["127.0.0.1"] });
  const answer = await outgoing.fetch(`https://secure.example.com:${good}/`);
  assert.equal(await answer.text(), "hello");
  assert.deepEqual(asked, ["secure.example.com"]);
  for (const url of [
    `https://other.example.com:${good}/`,
    `https://127.0.0.1:${good}/`,
    `https://secure.example.com:${bad}/`,
  ]) {
    await assert.rejects(outgoing.fetch(url), hasCode("UNREACHABLE"), url);
  }
  assert.equal(asked.length, 1);
});
