-- scope: platform
-- Whose messages those of a WhatsApp number are: pointers, and nothing of any tenant's. A delivery
-- names the number alone, so this is looked at before there is a tenant.

create table whatsapp_number (
  phone_number_id text primary key check (phone_number_id ~ '^[0-9]{1,30}$'),
  of_tenant uuid not null unique references platform.tenant (id) on delete cascade
);
grant select, insert, update, delete on whatsapp_number to plimsoll_app;
