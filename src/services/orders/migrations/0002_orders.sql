-- scope: shared, dedicated
-- Who buys, what they ordered, what was taken for it. As in 0001, the rules stand here once more.

-- A subset of the fourteen, each at most once, in their own order: equal to the fourteen
-- filtered by membership.
create function is_allergen_list(names text[]) returns boolean
language sql immutable parallel safe
as $$
  select names = array_remove(array[
    case when 'gluten' = any (names) then 'gluten' end,
    case when 'crustaceans' = any (names) then 'crustaceans' end,
    case when 'eggs' = any (names) then 'eggs' end,
    case when 'fish' = any (names) then 'fish' end,
    case when 'peanuts' = any (names) then 'peanuts' end,
    case when 'soybeans' = any (names) then 'soybeans' end,
    case when 'milk' = any (names) then 'milk' end,
    case when 'nuts' = any (names) then 'nuts' end,
    case when 'celery' = any (names) then 'celery' end,
    case when 'mustard' = any (names) then 'mustard' end,
    case when 'sesame' = any (names) then 'sesame' end,
    case when 'sulphites' = any (names) then 'sulphites' end,
    case when 'lupin' = any (names) then 'lupin' end,
    case when 'molluscs' = any (names) then 'molluscs' end
  ], null)
$$;
alter table product drop constraint product_allergens_check,
  add constraint product_allergens_check check (is_allergen_list(allergens));

create table customer (
  tenant_id uuid not null,
  id uuid not null,
  name text not null check (char_length(name) between 1 and 200 and name = btrim(name)),
  email text check (char_length(email) between 3 and 254 and email = btrim(email)),
  phone text check (char_length(phone) between 1 and 40 and phone = btrim(phone)),
  allergen_restrictions text[] not null check (is_allergen_list(allergen_restrictions)),
  notes text not null check (char_length(notes) <= 2000),
  active boolean not null,
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
create unique index customer_email_taken on customer (tenant_id, lower(email));

alter table customer enable row level security;
alter table customer force row level security;
create policy tenant_isolation on customer
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on customer to plimsoll_app;

create table sales_order (
  tenant_id uuid not null,
  -- A UUIDv7 of the moment created_at: a range of time is a range of ids, in every index below.
  id uuid not null check (
    id >= platform.uuid_v7_at(created_at)
    and id < platform.uuid_v7_at(created_at + interval '1 millisecond')
  ),
  number text not null check (number ~ '^[0-9]{6}-[0-9A-HJKMNP-TV-Z]{5}$'),
  shop_id uuid not null,
  customer_id uuid,
  -- As they were when it was ordered: the customer may move on, or never have been written down.
  customer_name text check (char_length(customer_name) between 1 and 200),
  customer_email text check (char_length(customer_email) between 3 and 254),
  customer_phone text check (char_length(customer_phone) between 1 and 40),
  notes text not null check (char_length(notes) <= 2000),
  state text not null check (
    state in ('draft', 'pending', 'confirmed', 'preparing', 'ready', 'completed', 'cancelled')
  ),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  net_minor bigint not null check (net_minor >= 0),
  vat_minor bigint not null check (vat_minor >= 0),
  total_minor bigint not null check (total_minor between 0 and 9007199254740991),
  allergen_warnings jsonb not null check (jsonb_typeof(allergen_warnings) = 'array'),
  acknowledged_allergens boolean not null,
  -- The user who made it, or what made it; "own" in a permission means this.
  owner_id text not null check (owner_id <> ''),
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null,
  -- Of a completed order, when it was completed: nothing happens to it afterwards.
  updated_at timestamptz not null,
  primary key (tenant_id, id),
  constraint sales_order_number_taken unique (tenant_id, number),
  constraint sales_order_shop foreign key (tenant_id, shop_id)
    references shop (tenant_id, id) on delete restrict,
  constraint sales_order_customer foreign key (tenant_id, customer_id)
    references customer (tenant_id, id) on delete restrict,
  check (net_minor + vat_minor = total_minor)
);
-- Lists are newest first, of all orders (the primary key) or of one state, shop, customer, owner.
create index sales_order_of_state on sales_order (tenant_id, state, id);
create index sales_order_of_shop on sales_order (tenant_id, shop_id, id);
create index sales_order_of_customer on sales_order (tenant_id, customer_id, id)
  where customer_id is not null;
create index sales_order_of_owner on sales_order (tenant_id, owner_id, id);
-- Revenue by day is read from this index alone.
create index sales_order_completed on sales_order (tenant_id, updated_at)
  include (currency, net_minor, vat_minor, total_minor, shop_id, owner_id)
  where state = 'completed';

alter table sales_order enable row level security;
alter table sales_order force row level security;
create policy tenant_isolation on sales_order
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update on sales_order to plimsoll_app;

create function refuse_order_change() returns trigger
language plpgsql
as $$
begin
  raise exception 'an order does not change like this (%, state % to %)',
    tg_name, case when tg_op = 'UPDATE' then old.state end, new.state
    using errcode = 'check_violation', constraint = tg_name;
end
$$;
create trigger sales_order_begins before insert on sales_order
  for each row when (new.state <> 'draft') execute function refuse_order_change();
-- The moves of rules/orders.ts.
create trigger sales_order_moves before update on sales_order
  for each row when (
    old.state <> new.state and (old.state, new.state) not in (
      ('draft', 'pending'), ('draft', 'cancelled'),
      ('pending', 'confirmed'), ('pending', 'cancelled'),
      ('confirmed', 'preparing'), ('confirmed', 'cancelled'),
      ('preparing', 'ready'), ('preparing', 'cancelled'),
      ('ready', 'completed'), ('ready', 'cancelled')
    )
  ) execute function refuse_order_change();
-- What was agreed on stays as it was.
create trigger sales_order_agreed before update on sales_order
  for each row when (
    (new.id, new.number, new.owner_id, new.created_at)
      is distinct from (old.id, old.number, old.owner_id, old.created_at)
    or old.state <> 'draft'
      and (new.shop_id, new.customer_id, new.currency, new.net_minor, new.vat_minor, new.total_minor)
        is distinct from
        (old.shop_id, old.customer_id, old.currency, old.net_minor, old.vat_minor, old.total_minor)
  ) execute function refuse_order_change();

create table sales_order_line (
  tenant_id uuid not null,
  order_id uuid not null,
  product_id uuid not null,
  position smallint not null check (position between 0 and 99),
  -- From here to vat_rate as the product was when it was ordered.
  title text not null check (char_length(title) between 1 and 255),
  unit_price_minor bigint not null check (unit_price_minor between 0 and 9007199254740991),
  vat_rate text not null check (vat_rate in ('zero', 'reduced', 'standard', 'exempt')),
  allergens text[] not null check (is_allergen_list(allergens)),
  quantity integer not null check (quantity between 1 and 10000),
  total_minor bigint not null check (total_minor = unit_price_minor * quantity),
  vat_minor bigint not null check (
    vat_minor between 0 and total_minor
    and (vat_minor = 0 or vat_rate in ('reduced', 'standard'))
  ),
  -- Units that confirming took from the stock, 0 once they are given back; null: none were counted.
  reserved integer check (reserved in (0, quantity)),
  primary key (tenant_id, order_id, product_id),
  constraint sales_order_line_order foreign key (tenant_id, order_id)
    references sales_order (tenant_id, id) on delete restrict,
  constraint sales_order_line_product foreign key (tenant_id, product_id)
    references product (tenant_id, id) on delete restrict
);
create index sales_order_line_of_product on sales_order_line (tenant_id, product_id);

alter table sales_order_line enable row level security;
alter table sales_order_line force row level security;
create policy tenant_isolation on sales_order_line
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, delete, update (allergens, reserved) on sales_order_line to plimsoll_app;

-- Lines are written, changed and removed only while their order is a draft; `reserved` alone comes
-- later. The order's row is there by the end of the statement that makes both. The functions look
-- into the schema that they are made in, whatever path their caller has.
create function refuse_line_change() returns trigger
language plpgsql set search_path from current
as $$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return null;
  end if;
  if exists (
    select from changed c
      left join sales_order o on o.tenant_id = c.tenant_id and o.id = c.order_id
     where o.state is distinct from 'draft'
  ) then
    raise exception 'the lines of an order that is no draft do not change'
      using errcode = 'check_violation', constraint = 'sales_order_line_fixed';
  end if;
  return null;
end
$$;
create trigger sales_order_line_made after insert on sales_order_line
  referencing new table as changed
  for each statement execute function refuse_line_change();
create trigger sales_order_line_removed after delete on sales_order_line
  referencing old table as changed
  for each statement execute function refuse_line_change();

create function refuse_line_update() returns trigger
language plpgsql set search_path from current
as $$
begin
  if (select state from sales_order where tenant_id = old.tenant_id and id = old.order_id)
    is distinct from 'draft'
  then
    raise exception 'the lines of an order that is no draft do not change'
      using errcode = 'check_violation', constraint = 'sales_order_line_fixed';
  end if;
  return new;
end
$$;
create trigger sales_order_line_changed before update on sales_order_line
  for each row when (
    (new.tenant_id, new.order_id, new.product_id, new.position, new.title, new.unit_price_minor,
      new.vat_rate, new.allergens, new.quantity, new.total_minor, new.vat_minor)
    is distinct from
    (old.tenant_id, old.order_id, old.product_id, old.position, old.title, old.unit_price_minor,
      old.vat_rate, old.allergens, old.quantity, old.total_minor, old.vat_minor)
  ) execute function refuse_line_update();

-- Money that came in or went out. Nothing here is ever changed: a correction is a second entry.
create table ledger_entry (
  tenant_id uuid not null,
  -- A UUIDv7 of the moment created_at, as in sales_order.
  id uuid not null check (
    id >= platform.uuid_v7_at(created_at)
    and id < platform.uuid_v7_at(created_at + interval '1 millisecond')
  ),
  order_id uuid,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  -- Out of the till when negative.
  amount_minor bigint not null check (
    amount_minor between -9007199254740991 and 9007199254740991
  ),
  vat_rate text not null check (vat_rate in ('zero', 'reduced', 'standard', 'exempt')),
  -- Part of the amount, and of its sign.
  vat_minor bigint not null check (
    vat_minor between least(amount_minor, 0) and greatest(amount_minor, 0)
    and (vat_minor = 0 or vat_rate in ('reduced', 'standard'))
  ),
  reference text not null check (char_length(reference) between 1 and 200),
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint ledger_entry_order foreign key (tenant_id, order_id)
    references sales_order (tenant_id, id) on delete restrict
);
create index ledger_entry_of_order on ledger_entry (tenant_id, order_id, id)
  where order_id is not null;

alter table ledger_entry enable row level security;
alter table ledger_entry force row level security;
create policy tenant_isolation on ledger_entry
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert on ledger_entry to plimsoll_app;

create function refuse_ledger_change() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return null;
  end if;
  raise exception 'ledger entries are append-only' using errcode = 'restrict_violation';
end
$$;
create trigger ledger_entry_append_only before update or delete or truncate on ledger_entry
  for each statement execute function refuse_ledger_change();
