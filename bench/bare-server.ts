import Fastify from "fastify";
import pg from "pg";

/**
 * What somebody would write without a kernel: bare Fastify and `pg`, no authentication, no limits.
 * GET /plain runs one un-isolated statement; GET /trips the usual row-level-security pattern of
 * four round trips; POST /bare inserts a row between BEGIN and COMMIT. Arguments: the URLs of the
 * owner and of the app role.
 */
const [url, appUrl] = process.argv.slice(2);
const owner = new pg.Pool({ connectionString: url, max: 25 });
const app = new pg.Pool({ connectionString: appUrl, max: 25 });

const columns = `id, name, address, currency, active, version,
  created_at as "createdAt", updated_at as "updatedAt"`;

interface Query {
  tenant: string;
}

const server = Fastify();

server.get<{ Querystring: Query }>("/plain", async (request) => {
  const { rows } = await owner.query({
    name: "plain",
    text: `select ${columns} from bench_shop where tenant_id = $1 order by id desc limit 20`,
    values: [request.query.tenant],
  });
  return { items: rows };
});

server.get<{ Querystring: Query }>("/trips", async (request) => {
  const client = await app.connect();
  try {
    await client.query("begin");
    await client.query({
      name: "tenant",
      text: "select set_config('app.tenant_id', $1, true)",
      values: [request.query.tenant],
    });
    const { rows } = await client.query({
      name: "trips",
      text: `select ${columns} from orders.shop order by id desc limit 20`,
    });
    await client.query("commit");
    return { items: rows };
  } finally {
    client.release();
  }
});

server.post<{ Body: { id: string; tenant: string; name: string } }>(
  "/bare",
  async (request, reply) => {
    const client = await owner.connect();
    try {
      await client.query("begin");
      const { rows } = await client.query({
        name: "bare",
        text: `insert into bench_shop (tenant_id, id, name, address, currency, active)
             values ($1, gen_random_uuid(), $2, '', 'GBP', true) returning ${columns}`,
        values: [request.body.tenant, request.body.name],
      });
      await client.query("commit");
      return reply.code(201).send(rows[0]);
    } finally {
      client.release();
    }
  },
);

const address = await server.listen({ port: 0, host: "127.0.0.1" });
process.stdout.write(`${address}\n`);
