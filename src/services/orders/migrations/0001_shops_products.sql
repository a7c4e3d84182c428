-- scope: shared, dedicated
-- What a tenant sells and where. The rules of rules.ts stand here once more, so that no path
-- around the API (an import, a repair by hand, a later version) can store what the API refuses.

create table shop (
  tenant_id uuid not null,
  -- A UUIDv7: the primary key walked backwards is "newest first", which is how lists are read.
  id uuid not null,
  name text not null check (char_length(name) between 1 and 200 and name = btrim(name)),
  address text not null check (char_length(address) <= 500),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  active boolean not null,
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint shop_name_taken unique (tenant_id, name)
);

alter table shop enable row level security;
alter table shop force row level security;
create policy tenant_isolation on shop
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on shop to plimsoll_app;

create table product (
  tenant_id uuid not null,
  id uuid not null,
  sku text not null check (char_length(sku) between 1 and 100 and sku = btrim(sku)),
  title text not null check (char_length(title) between 1 and 255 and title = btrim(title)),
  ingredients text not null check (char_length(ingredients) <= 2000),
  -- A subset of the fourteen, each at most once, in their own order: equal to the fourteen
  -- filtered by membership.
  allergens text[] not null check (
    allergens = array_remove(array[
      case when 'gluten' = any (allergens) then 'gluten' end,
      case when 'crustaceans' = any (allergens) then 'crustaceans' end,
      case when 'eggs' = any (allergens) then 'eggs' end,
      case when 'fish' = any (allergens) then 'fish' end,
      case when 'peanuts' = any (allergens) then 'peanuts' end,
      case when 'soybeans' = any (allergens) then 'soybeans' end,
      case when 'milk' = any (allergens) then 'milk' end,
      case when 'nuts' = any (allergens) then 'nuts' end,
      case when 'celery' = any (allergens) then 'celery' end,
      case when 'mustard' = any (allergens) then 'mustard' end,
      case when 'sesame' = any (allergens) then 'sesame' end,
      case when 'sulphites' = any (allergens) then 'sulphites' end,
      case when 'lupin' = any (allergens) then 'lupin' end,
      case when 'molluscs' = any (allergens) then 'molluscs' end
    ], null)
  ),
  -- Up to 2^53 - 1, the largest integer that JSON's readers agree on.
  price_minor bigint not null check (price_minor between 0 and 9007199254740991),
  vat_rate text not null check (vat_rate in ('zero', 'reduced', 'standard', 'exempt')),
  -- Null: not counted, such as coffee by the cup.
  stock integer check (stock >= 0),
  active boolean not null,
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint product_sku_taken unique (tenant_id, sku)
);

alter table product enable row level security;
alter table product force row level security;
create policy tenant_isolation on product
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on product to plimsoll_app;
