/**
 * Queries over PostgreSQL's catalogue for `catalogue.ts`; $1 is the application's login role. Each
 * answers with rows of `object` and `fault`, and no rows where all is well.
 */

/** Schemas that are ours or that the application can reach, and the tables and views in them. */
const ours = `
  app as (select oid from pg_roles where rolname = $1),
  own_schema as (
    select n.* from pg_namespace n, app
     where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
       and (n.nspname = 'platform' or n.nspname ~ '_t_[0-9a-f]{32}$'
         or has_schema_privilege(app.oid, n.oid, 'usage'))),
  relation as (
    select c.*, format('%I.%I', s.nspname, c.relname) as name, a.attnum as tenant_column,
           a.attnotnull as tenant_required, a.atttypid as tenant_type
      from pg_class c
      join own_schema s on s.oid = c.relnamespace
      left join pg_attribute a
        on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
     where c.relkind in ('r', 'p', 'f', 'v', 'm') and not exists (
       select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')),
  tenant_table as (
    select * from relation where tenant_column is not null and relkind in ('r', 'p', 'f'))`;

const tables = `with ${ours}
  select name as object, 'row-level security is not enabled' as fault
    from tenant_table where not relrowsecurity and relkind <> 'f'
  union all
  select name, 'row-level security is not forced, so its owner is not bound by it'
    from tenant_table where not relforcerowsecurity and relkind <> 'f'
  union all
  select name, 'it is a foreign table, which row-level security can''t protect'
    from tenant_table where relkind = 'f'
  union all
  select name, 'tenant_id may be null' from tenant_table where not tenant_required
  union all
  select name, format('tenant_id is %s and not uuid', format_type(tenant_type, null))
    from tenant_table where tenant_type <> 'uuid'::regtype
  union all
  select name, format('its owner %I is a role that the application has', pg_get_userbyid(relowner))
    from relation, app where pg_has_role(app.oid, relowner, 'member')
  union all
  select name, 'it is a materialized view, which keeps every tenant''s rows in the open'
    from relation where relkind = 'm'
  union all
  select name, 'it is a view without security_invoker, so it reads with its owner''s rights'
    from relation r where relkind = 'v' and not coalesce((
      select option_value::boolean from pg_options_to_table(r.reloptions)
       where option_name = 'security_invoker'), false)
  union all
  select r.name, format('its rule %I runs with the owner''s rights', w.rulename)
    from pg_rewrite w join relation r on r.oid = w.ev_class
   where w.rulename <> '_RETURN' or r.relkind not in ('v', 'm')
  union all
  select r.name, format('its trigger %s is disabled',
      case when t.tgisinternal then 'that enforces a foreign key' else quote_ident(t.tgname) end)
    from pg_trigger t join relation r on r.oid = t.tgrelid where t.tgenabled = 'D'`;

const keys = `with ${ours},
  unique_index as (
    select t.name as table_name, t.tenant_column, i.*, c.relname as index_name
      from pg_index i
      join tenant_table t on t.oid = i.indrelid
      join pg_class c on c.oid = i.indexrelid
     where i.indisunique or i.indisexclusion)
  select name as object, 'it has no primary key' as fault from tenant_table t
   where relkind <> 'f' and not exists (
     select from pg_index i where i.indrelid = t.oid and i.indisprimary)
  union all
  select table_name, 'its primary key does not contain tenant_id'
    from unique_index where indisprimary and not tenant_column = any (indkey)
  union all
  select table_name, format('%I is unique across tenants, which tells one of another''s values: ' ||
      'add tenant_id, or say why it is safe in a comment on the index that begins "across tenants:"',
      index_name)
    from unique_index where not indisprimary and not tenant_column = any (indkey)
     and coalesce(obj_description(indexrelid, 'pg_class'), '') not like 'across tenants: _%'
  union all
  select r.name, format('its foreign key %I to %s does not carry tenant_id', k.conname, t.name)
    from pg_constraint k
    join relation r on r.oid = k.conrelid
    join tenant_table t on t.oid = k.confrelid
   where k.contype = 'f' and not exists (
     select from unnest(k.conkey, k.confkey) as pair (here, there)
      where pair.here = r.tenant_column and pair.there = t.tenant_column)`;

const grants = `with ${ours}
  select r.name as object, format('the application may %s', privilege) as fault
    from relation r, app, unnest(array['TRUNCATE', 'REFERENCES', 'TRIGGER']
      || case when current_setting('server_version_num')::int >= 170000
           then array['MAINTAIN'] else array[]::text[] end) as privilege
   where r.relkind in ('r', 'p') and has_table_privilege(app.oid, r.oid, privilege)
  union all
  select distinct t.name, format('%s is granted to PUBLIC', acl.privilege_type)
    from tenant_table t, aclexplode(t.relacl) as acl where acl.grantee = 0
  union all
  select distinct t.name,
      format('%s of column %I is granted to PUBLIC', acl.privilege_type, a.attname)
    from tenant_table t join pg_attribute a on a.attrelid = t.oid, aclexplode(a.attacl) as acl
   where acl.grantee = 0
  union all
  select format('schema %I', nspname), 'the application may create objects in it'
    from own_schema s, app where has_schema_privilege(app.oid, s.oid, 'create')
  union all
  select format('schema %I', nspname),
      format('its owner %I is a role that the application has', pg_get_userbyid(nspowner))
    from own_schema s, app
   where s.nspname <> 'public' and pg_has_role(app.oid, s.nspowner, 'member')
  union all
  select format('database %I', current_database()), 'the application may create schemas in it'
    from app where has_database_privilege(app.oid, current_database(), 'create')
  union all
  select distinct format('default privileges of %I', pg_get_userbyid(d.defaclrole)),
      'new tables would be granted to PUBLIC'
    from pg_default_acl d, aclexplode(d.defaclacl) as acl
   where d.defaclobjtype = 'r' and acl.grantee = 0`;

const functions = `with ${ours},
  own_function as (
    select p.*, format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
             as name
      from pg_proc p join own_schema s on s.oid = p.pronamespace
     where not exists (
       select from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'))
  select name as object, 'it is SECURITY DEFINER and its search_path is not pinned' as fault
    from own_function where prosecdef and not exists (
      select from unnest(proconfig) as setting where setting like 'search_path=%')
  union all
  select name, 'it is SECURITY DEFINER and PUBLIC may execute it'
    from own_function f where prosecdef and exists (
      select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as acl
       where acl.grantee = 0)
  union all
  select name, 'it is LEAKPROOF, so it sees rows before row-level security hides them'
    from own_function where proleakproof
  union all
  select name, format('its owner %I is a role that the application has', pg_get_userbyid(proowner))
    from own_function, app where pg_has_role(app.oid, proowner, 'member')`;

const settings = `
  select case when s.setrole = 0 then format('database %I', current_database())
           else format('role %I', $1::text) end as object,
         format('it sets %s for every session', split_part(setting, '=', 1)) as fault
    from pg_db_role_setting s, unnest(s.setconfig) as setting
   where s.setrole in (0, to_regrole(quote_ident($1))::oid)
     and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
     and (setting like 'app.%' or split_part(setting, '=', 1) in (
       'role', 'session_replication_role', 'row_security'))
  union all
  select format('database %I', current_database()),
         'app.tenant_id is set although no tenant transaction is running'
   where nullif(current_setting('app.tenant_id', true), '') is not null`;

export const faultQueries: readonly string[] = [tables, keys, grants, functions, settings];

/**
 * Every tenant table with the policies that apply to the application, one row per policy (or one
 * without).
 */
export const policyQuery = `with ${ours}
  select t.name as table, p.polname as policy, p.polcmd as verb, p.polpermissive as permissive,
         pg_get_expr(p.polqual, p.polrelid) as using,
         pg_get_expr(p.polwithcheck, p.polrelid) as check
    from tenant_table t
    left join (pg_policy p cross join app)
      on p.polrelid = t.oid and exists (
        select from unnest(p.polroles) as role
         where role = 0 or pg_has_role(app.oid, role, 'usage'))
   where t.relkind <> 'f'
   order by t.name, p.polname`;
