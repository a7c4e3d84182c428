-- scope: platform
-- Tickets that open WebSockets are good once: each that was used, until it would have expired. What
-- a ticket stands for is in the ticket itself, sealed; here is only a number that it carries.
create table platform.spent_ticket (
  nonce bytea primary key check (length(nonce) = 16),
  expires_at timestamptz not null
);
create index spent_ticket_expiry on platform.spent_ticket (expires_at);
grant select, insert, update, delete on platform.spent_ticket to plimsoll_app;
