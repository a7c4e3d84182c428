-- scope: shared, dedicated
-- Messages of customers, kept to know them again: Meta delivers each at least once.

create table whatsapp_message (
  tenant_id uuid not null,
  -- Meta's, the same at every delivery.
  message_id text not null check (char_length(message_id) between 1 and 200),
  sender text not null check (sender ~ '^\+[1-9][0-9]{6,14}$'),
  sender_name text check (char_length(sender_name) between 1 and 200),
  -- What was written or picked, as rules/whatsapp-messages.ts reads it.
  content jsonb not null,
  received_at timestamptz not null,
  handled_at timestamptz,
  order_id uuid,
  reply text check (char_length(reply) between 1 and 4096),
  replied_at timestamptz,
  primary key (tenant_id, message_id),
  constraint whatsapp_message_order foreign key (tenant_id, order_id)
    references sales_order (tenant_id, id) on delete restrict,
  check ((handled_at is null) = (reply is null)),
  check (handled_at is not null or order_id is null and replied_at is null)
);
create index whatsapp_message_received on whatsapp_message (tenant_id, received_at);

alter table whatsapp_message enable row level security;
alter table whatsapp_message force row level security;
create policy tenant_isolation on whatsapp_message
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on whatsapp_message to plimsoll_app;

-- For finding who writes.
create index customer_of_phone on customer (tenant_id, phone, id);
