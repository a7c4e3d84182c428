// @ts-expect-error: it has no types of its own, and what is used of it is typed below.
import express from "express";
import { jwtVerify } from "jose";
import { DataTypes, type Model, type ModelStatic, Sequelize, type Transaction } from "sequelize";
import { systemClock } from "#kernel/clock.ts";
import { systemRandom } from "#kernel/random.ts";
import { tailOf } from "./orders-raw.ts";

/**
 * The order desk as it is usually written: Express, Sequelize, a JWT that names the tenant, and a
 * `tenant_id` in every `where`. It reads and writes the same tables over a connection that
 * row-level security does not hold back, keeps neither an audit nor events, and knows no
 * idempotency keys: what it does is the least that such a stack must do. Arguments: the database's
 * URL, the JWT's secret.
 */
const [url = "", secret = ""] = process.argv.slice(2);

const sequelize = new Sequelize(url, {
  logging: false,
  pool: { max: 25, min: 5 },
  schema: "orders",
  dialectOptions: { options: "-c search_path=orders" },
  define: { timestamps: false, freezeTableName: true, underscored: true },
});

const random = systemRandom(systemClock);
// Made anew for each column: Sequelize writes into what it is given.
const key = () => ({ type: DataTypes.UUID, primaryKey: true });
const { TEXT, BIGINT, INTEGER, BOOLEAN, JSONB, DATE, UUID, ARRAY } = DataTypes;
// PostgreSQL's bigint arrives as text; amounts are safe integers.
const money = (name: string) => ({
  type: BIGINT,
  get(this: Model) {
    return Number(this.getDataValue(name));
  },
});

const Shop = sequelize.define("shop", {
  tenantId: key(),
  id: key(),
  currency: TEXT,
  active: BOOLEAN,
});
const Customer = sequelize.define("customer", {
  tenantId: key(),
  id: key(),
  name: TEXT,
  email: TEXT,
  phone: TEXT,
  allergenRestrictions: ARRAY(TEXT),
});
const Product = sequelize.define("product", {
  tenantId: key(),
  id: key(),
  title: TEXT,
  allergens: ARRAY(TEXT),
  priceMinor: money("priceMinor"),
  vatRate: TEXT,
  stock: INTEGER,
  active: BOOLEAN,
  version: INTEGER,
});
const Order = sequelize.define("sales_order", {
  tenantId: key(),
  id: key(),
  number: TEXT,
  shopId: UUID,
  customerId: UUID,
  customerName: TEXT,
  customerEmail: TEXT,
  customerPhone: TEXT,
  notes: TEXT,
  state: TEXT,
  currency: TEXT,
  netMinor: money("netMinor"),
  vatMinor: money("vatMinor"),
  totalMinor: money("totalMinor"),
  allergenWarnings: JSONB,
  acknowledgedAllergens: BOOLEAN,
  ownerId: TEXT,
  version: INTEGER,
  createdAt: DATE,
  updatedAt: DATE,
});
const Line = sequelize.define("sales_order_line", {
  tenantId: key(),
  orderId: key(),
  productId: key(),
  position: INTEGER,
  title: TEXT,
  unitPriceMinor: money("unitPriceMinor"),
  vatRate: TEXT,
  allergens: ARRAY(TEXT),
  quantity: INTEGER,
  totalMinor: money("totalMinor"),
  vatMinor: money("vatMinor"),
  reserved: INTEGER,
});
Order.hasMany(Line, { as: "items", foreignKey: "orderId", sourceKey: "id", constraints: false });

/** A row's members, which Sequelize does not know the types of. */
// biome-ignore lint/suspicious/noExplicitAny: dynamic models
type Row = Model<any, any> & Record<string, any>;

class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function one(model: ModelStatic<Model>, where: object, transaction?: Transaction) {
  const row = (await model.findOne({ where: where as never, transaction })) as Row | null;
  if (!row) throw new Refusal(404, "There is no such resource");
  return row;
}

const percent: Readonly<Record<string, number>> = { zero: 0, exempt: 0, reduced: 5, standard: 20 };

function lineOf(product: Row, quantity: number, position: number) {
  const rate = percent[product.vatRate] as number;
  const totalMinor = product.priceMinor * quantity;
  return {
    productId: product.id,
    position,
    title: product.title,
    quantity,
    unitPriceMinor: product.priceMinor,
    vatRate: product.vatRate,
    totalMinor,
    vatMinor: Math.round((totalMinor * rate) / (100 + rate)),
    allergens: product.allergens,
  };
}

interface Body {
  shopId: string;
  customerId?: string;
  notes?: string;
  items: { productId: string; quantity: number }[];
}

let ordersMade = 0;

function createOrder(tenantId: string, ownerId: string, body: Body) {
  return sequelize.transaction(async (transaction) => {
    const shop = await one(Shop, { tenantId, id: body.shopId }, transaction);
    const customer = body.customerId
      ? await one(Customer, { tenantId, id: body.customerId }, transaction)
      : null;
    const ids = body.items.map(({ productId }) => productId);
    const products = (await Product.findAll({
      where: { tenantId, id: ids },
      transaction,
    })) as Row[];
    const lines = body.items.map(({ productId, quantity }, position) => {
      const product = products.find(({ id }) => id === productId);
      if (!product?.active) throw new Refusal(422, "There is no such product");
      return lineOf(product, quantity, position);
    });
    const restrictions: string[] = customer?.allergenRestrictions ?? [];
    const id = random.id();
    const madeMs = Number.parseInt(id.replace("-", "").slice(0, 12), 16);
    ordersMade += 1;
    const sum = (name: "totalMinor" | "vatMinor") =>
      lines.reduce((total, line) => total + line[name], 0);
    const order = await Order.create(
      {
        tenantId,
        id,
        number: `970101-${tailOf(ordersMade)}`,
        shopId: shop.id,
        customerId: customer?.id ?? null,
        customerName: customer?.name ?? null,
        customerEmail: customer?.email ?? null,
        customerPhone: customer?.phone ?? null,
        notes: body.notes ?? "",
        state: "draft",
        currency: shop.currency,
        totalMinor: sum("totalMinor"),
        vatMinor: sum("vatMinor"),
        netMinor: sum("totalMinor") - sum("vatMinor"),
        allergenWarnings: lines.filter(({ allergens }) =>
          allergens.some((name: string) => restrictions.includes(name)),
        ),
        acknowledgedAllergens: false,
        ownerId,
        version: 1,
        createdAt: new Date(madeMs),
        updatedAt: new Date(madeMs),
      },
      { transaction },
    );
    const rows = lines.map((line) => ({ ...line, tenantId, orderId: id }));
    const items = await Line.bulkCreate(rows, { transaction });
    return { ...order.toJSON(), items };
  });
}

function confirmOrder(tenantId: string, id: string) {
  return sequelize.transaction(async (transaction) => {
    const lock = transaction.LOCK.UPDATE;
    const order = (await Order.findOne({
      where: { tenantId, id },
      lock,
      transaction,
    })) as Row | null;
    if (!order) throw new Refusal(404, "There is no such resource");
    if (order.state !== "pending") throw new Refusal(409, `The order is ${order.state}`);
    const where = { tenantId, orderId: id };
    const items = (await Line.findAll({ where, transaction })) as Row[];
    const ids = items.map(({ productId }) => productId);
    const products = (await Product.findAll({
      where: { tenantId, id: ids },
      order: [["id", "ASC"]],
      lock,
      transaction,
    })) as Row[];
    for (const product of products) {
      const item = items.find(({ productId }) => productId === product.id) as Row;
      if (product.stock === null) continue;
      if (product.stock < item.quantity) throw new Refusal(409, `${product.title} is sold out`);
      const stock = product.stock - item.quantity;
      await product.update({ stock, version: product.version + 1 }, { transaction });
      await item.update({ reserved: item.quantity }, { transaction });
    }
    const version = order.version + 1;
    await order.update({ state: "confirmed", version, updatedAt: new Date() }, { transaction });
    return { ...order.toJSON(), items };
  });
}

const app = express();
app.disable("x-powered-by");
app.use(express.json());

interface Caller {
  tenant: string;
  user: string;
}

const secretKey = new TextEncoder().encode(secret);

async function callerOf(authorization = ""): Promise<Caller> {
  try {
    const { payload } = await jwtVerify(authorization.replace("Bearer ", ""), secretKey, {
      algorithms: ["HS256"],
    });
    return { tenant: String(payload.tid), user: String(payload.sub) };
  } catch (cause) {
    throw Object.assign(new Refusal(401, "The token is not good"), { cause });
  }
}

interface Request {
  headers: { authorization?: string };
  params: { id: string };
  body: Body;
}
interface Response {
  status(code: number): Response;
  json(body: unknown): void;
}
type Handler = (request: Request, caller: Caller) => Promise<unknown>;

const handle = (status: number, handler: Handler) => async (request: Request, reply: Response) => {
  try {
    const caller = await callerOf(request.headers.authorization);
    reply.status(status).json(await handler(request, caller));
  } catch (error) {
    const code = error instanceof Refusal ? error.status : 500;
    if (code === 500) console.error(error);
    reply.status(code).json({ message: (error as Error).message });
  }
};

app.get(
  "/orders",
  handle(200, async (_request, { tenant }) => ({
    items: await Order.findAll({ where: { tenantId: tenant }, order: [["id", "DESC"]], limit: 20 }),
  })),
);
app.get(
  "/orders/:id",
  handle(200, async ({ params: { id } }, { tenant: tenantId }) => {
    const items = { model: Line, as: "items", where: { tenantId }, required: false };
    const order = await Order.findOne({ where: { tenantId, id }, include: [items] });
    if (!order) throw new Refusal(404, "There is no such resource");
    return order;
  }),
);
app.post(
  "/orders",
  handle(201, ({ body }, { tenant, user }) => createOrder(tenant, user, body)),
);
app.post(
  "/orders/:id/confirm",
  handle(200, ({ params: { id } }, { tenant }) => confirmOrder(tenant, id)),
);

const server = app.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as { port: number };
  process.stdout.write(`http://127.0.0.1:${port}\n`);
});
