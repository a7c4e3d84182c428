-- scope: platform
-- People, their sessions and the keys that sign tokens belong to no tenant: those tables have no
-- tenant_id and no row-level security. Memberships, invitations, roles and API keys have both.

-- A deleted tenant keeps its row, and with it its slug: nobody can take over a known name.
alter table platform.tenant add column deleted_at timestamptz;

create table platform.app_user (
  id uuid primary key,
  -- Lower case, as it is compared.
  email text not null unique check (email !~ '[A-Z]' and length(email) between 3 and 254),
  name text not null check (length(name) between 1 and 200),
  -- PHC string or bcrypt; null for people who only come by single sign-on.
  password_hash text,
  active boolean not null default true,
  platform_admin boolean not null default false,
  -- Sealed; pending until the first code has been typed.
  totp_secret bytea,
  totp_pending bytea,
  -- The newest step whose code was used: a code counts once.
  totp_last_step bigint not null default 0,
  -- The tenant of the latest sign-in, whose audit chain also takes failed ones.
  last_tenant uuid references platform.tenant (id),
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index app_user_last_tenant on platform.app_user (last_tenant);

create table platform.recovery_code (
  user_id uuid not null references platform.app_user (id) on delete cascade,
  code_hash bytea not null,
  primary key (user_id, code_hash)
);

-- A person at an issuer of single sign-on. Never matched by e-mail address.
create table platform.identity (
  issuer text not null,
  subject text not null check (length(subject) between 1 and 255),
  user_id uuid not null references platform.app_user (id) on delete cascade,
  created_at timestamptz not null,
  last_used_at timestamptz not null,
  primary key (issuer, subject)
);
create index identity_user on platform.identity (user_id);

create table platform.session (
  id uuid primary key,
  user_id uuid not null references platform.app_user (id) on delete cascade,
  acting_tenant_id uuid not null references platform.tenant (id),
  method text not null check (method in ('password', 'sso', 'registration')),
  -- SHA-256 of the one refresh token that is good now.
  refresh_hash bytea not null,
  refresh_generation integer not null default 1,
  -- Marks the tokens of this session, so that an old one is told from an invented one without
  -- keeping every hash there ever was. It can't make a good token: that needs the random part.
  reuse_key bytea not null,
  user_agent text not null check (length(user_agent) <= 300),
  address text not null check (length(address) <= 100),
  created_at timestamptz not null,
  last_used_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_because text
);
create index session_of_user on platform.session (user_id, created_at desc);
create index session_of_tenant on platform.session (acting_tenant_id);
create index session_expiry on platform.session (expires_at);

create table platform.signing_key (
  kid text primary key,
  algorithm text not null check (algorithm in ('EdDSA', 'ES256')),
  public_jwk jsonb not null,
  -- Null once its last token is dead.
  sealed_private bytea,
  created_at timestamptz not null,
  -- Published from created_at, signs from here on.
  activates_at timestamptz not null,
  -- Signs no more from here on; null for the newest key.
  retires_at timestamptz,
  -- Verifies no more from here on.
  dead_at timestamptz,
  created_by uuid references platform.app_user (id) on delete set null
);
create unique index signing_key_newest on platform.signing_key ((true)) where retires_at is null;
create index signing_key_created_by on platform.signing_key (created_by);

-- Failed attempts by SHA-256 of account, address, or both; shared by all servers.
create table platform.login_throttle (
  key bytea primary key,
  failures integer not null,
  blocked_until timestamptz not null,
  -- A person signed in to this account from this address: strangers elsewhere don't slow it down.
  trusted boolean not null default false,
  forget_at timestamptz not null
);
create index login_throttle_forget on platform.login_throttle (forget_at);

create table platform.role (
  tenant_id uuid not null references platform.tenant (id),
  name text not null check (name ~ '^[a-z][a-z0-9_]{1,39}$'
    and name not in ('admin', 'tenant_admin', 'user', 'system', 'api_key')),
  title text not null check (length(title) between 1 and 200),
  permissions text[] not null,
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, name)
);

create table platform.membership (
  tenant_id uuid not null references platform.tenant (id),
  user_id uuid not null references platform.app_user (id),
  -- 'tenant_admin', 'user' or the name of one of the tenant's own roles.
  role text not null check (role ~ '^[a-z][a-z0-9_]{1,39}$' and role <> 'admin'),
  active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, user_id)
);
create index membership_user on platform.membership (user_id);
create index membership_role on platform.membership (tenant_id, role);
create index membership_joined on platform.membership (tenant_id, created_at, user_id);

create table platform.invitation (
  tenant_id uuid not null references platform.tenant (id),
  id uuid not null,
  email text not null check (email !~ '[A-Z]' and length(email) between 3 and 254),
  role text not null check (role ~ '^[a-z][a-z0-9_]{1,39}$' and role <> 'admin'),
  token_hash bytea not null,
  invited_by uuid not null references platform.app_user (id),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid references platform.app_user (id),
  primary key (tenant_id, id),
  unique (tenant_id, token_hash)
);
create index invitation_role on platform.invitation (tenant_id, role);
create index invitation_invited_by on platform.invitation (invited_by);
create index invitation_accepted_by on platform.invitation (accepted_by);

create table platform.api_key (
  tenant_id uuid not null references platform.tenant (id),
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  key_hash bytea not null,
  last_four text not null,
  permissions text[] not null,
  created_by uuid not null references platform.app_user (id),
  created_at timestamptz not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, key_hash)
);
create index api_key_created_by on platform.api_key (created_by);

alter table platform.role enable row level security;
alter table platform.role force row level security;
create policy tenant_isolation on platform.role
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

alter table platform.membership enable row level security;
alter table platform.membership force row level security;
create policy tenant_isolation on platform.membership
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
-- Signing in must find one's own memberships before a tenant is chosen. Reading only.
create policy membership_of_user on platform.membership for select
  using (user_id = (select nullif(current_setting('app.user_id', true), '')::uuid));

alter table platform.invitation enable row level security;
alter table platform.invitation force row level security;
create policy tenant_isolation on platform.invitation
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

alter table platform.api_key enable row level security;
alter table platform.api_key force row level security;
create policy tenant_isolation on platform.api_key
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));

grant select, insert, update, delete on platform.app_user to plimsoll_app;
grant select, insert, delete on platform.recovery_code to plimsoll_app;
grant select, insert, update on platform.identity to plimsoll_app;
grant select, insert, update, delete on platform.session to plimsoll_app;
grant select, insert, update on platform.signing_key to plimsoll_app;
grant select, insert, update, delete on platform.login_throttle to plimsoll_app;
grant select, insert, update, delete on platform.role to plimsoll_app;
grant select, insert, update, delete on platform.membership to plimsoll_app;
grant select, insert, update, delete on platform.invitation to plimsoll_app;
grant select, insert, update, delete on platform.api_key to plimsoll_app;
