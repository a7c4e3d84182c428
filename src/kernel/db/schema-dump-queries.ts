/**
 * Queries over PostgreSQL's catalogue for `schema-dump.ts`; $1 is an array of schema names, and the
 * search path is pg_catalog alone, so that PostgreSQL writes every other name with its schema. Each
 * row has an `object` to sort by and the SQL `text` that makes it.
 */

const notOfExtension = (catalogue: string, oid: string) => `not exists (
  select from pg_depend d where d.classid = '${catalogue}'::regclass and d.objid = ${oid}
     and d.deptype = 'e')`;

/** Grants in an ACL, but not the owner's to itself, which follow from its owning. */
const grantsOf = (acl: string, owner: string, on: string) => `(
  select string_agg(text, E'\\n' order by text collate "C") from (
    select format('grant %s on %s to %s%s;',
        lower(string_agg(privilege_type, ', '
          order by position(privilege_type in 'SELECT INSERT UPDATE DELETE'), privilege_type)),
        ${on},
        case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
        case when is_grantable then ' with grant option' else '' end) as text
      from aclexplode(${acl}) where grantee <> ${owner} group by grantee, is_grantable) as one)`;

const comment = (catalogue: string, oid: string, on: string) => `(
  select format('comment on %s is %L;', ${on}, description) from pg_description
   where classoid = '${catalogue}'::regclass and objoid = ${oid} and objsubid = 0)`;

const lines = (...parts: string[]) => `concat_ws(E'\\n', ${parts.join(", ")})`;

const extensions = `
  select extname as object,
         format('create extension if not exists %I with schema %I;', extname, nspname) as text
    from pg_extension join pg_namespace n on n.oid = extnamespace where extname <> 'plpgsql'`;

const schemas = `
  select nspname as object, ${lines(
    "format('create schema %I;', nspname)",
    grantsOf("nspacl", "nspowner", "format('schema %I', nspname)"),
    comment("pg_namespace", "n.oid", "format('schema %I', nspname)"),
  )} as text
    from pg_namespace n where nspname = any ($1)`;

const types = `
  select format('%I.%I', nspname, typname) as object, case typtype
      when 'e' then format('create type %I.%I as enum (%s);', nspname, typname, (
        select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder)
          from pg_enum where enumtypid = t.oid))
      when 'd' then format('create domain %I.%I as %s%s%s%s;', nspname, typname,
        format_type(typbasetype, typtypmod),
        case when typdefault is not null then ' default ' || typdefault else '' end,
        case when typnotnull then ' not null' else '' end, (
          select coalesce(string_agg(format(' constraint %I %s', conname,
                   pg_get_constraintdef(k.oid)), '' order by conname), '')
            from pg_constraint k where k.contypid = t.oid and k.contype = 'c'))
      end as text
    from pg_type t join pg_namespace n on n.oid = typnamespace
    left join pg_class c on c.oid = t.typrelid
   where nspname = any ($1) and typelem = 0 and typtype <> 'm'
     and (typtype <> 'c' or c.relkind = 'c') and ${notOfExtension("pg_type", "t.oid")}`;

const sequences = `
  select format('%I.%I', nspname, relname) as object, ${lines(
    `format('create sequence %I.%I as %s increment %s minvalue %s maxvalue %s start %s cache %s%s;',
       nspname, relname, format_type(seqtypid, null), seqincrement, seqmin, seqmax, seqstart,
       seqcache, case when seqcycle then ' cycle' else '' end)`,
    grantsOf("relacl", "relowner", "format('sequence %I.%I', nspname, relname)"),
    comment("pg_class", "c.oid", "format('sequence %I.%I', nspname, relname)"),
  )} as text
    from pg_sequence s join pg_class c on c.oid = seqrelid
    join pg_namespace n on n.oid = relnamespace
   where nspname = any ($1) and not exists (
     select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
        and d.deptype in ('i', 'e'))`;

/** "late" ones need tables to be there: for their parameters, or for a body parsed when made. */
const functions = `
  select format('%I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid)) as object,
         exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
           and d.refclassid = 'pg_class'::regclass) or exists (
           select from unnest(proargtypes || prorettype) as of
             join pg_type t on t.oid = of and t.typrelid <> 0) as late,
         ${lines(
           "rtrim(pg_get_functiondef(p.oid), E'\\n') || ';'",
           `case when proacl is not null and not exists (
              select from aclexplode(proacl) where grantee = 0)
            then format('revoke execute on %s from public;', name.of) end`,
           grantsOf("proacl", "proowner", "name.of"),
           comment("pg_proc", "p.oid", "name.of"),
         )} as text
    from pg_proc p join pg_namespace n on n.oid = pronamespace,
         lateral (select format('%s %I.%I(%s)',
           case prokind when 'p' then 'procedure' else 'function' end, nspname, proname,
           pg_get_function_identity_arguments(p.oid)) as of) as name
   where nspname = any ($1) and prokind in ('f', 'p') and ${notOfExtension("pg_proc", "p.oid")}`;

const columns = `(
  select string_agg(format('  %I %s%s%s%s', attname, format_type(atttypid, atttypmod),
      case when attcollation not in (0, t.typcollation) then ' collate ' || (
        select format('%I.%I', cn.nspname, collname) from pg_collation l
          join pg_namespace cn on cn.oid = collnamespace where l.oid = attcollation) else '' end,
      case when attidentity = 'a' then ' generated always as identity'
        when attidentity = 'd' then ' generated by default as identity'
        when attgenerated = 's' then format(' generated always as (%s) stored', value)
        when attgenerated = 'v' then format(' generated always as (%s) virtual', value)
        when value is not null then ' default ' || value else '' end,
      case when attnotnull then ' not null' else '' end), E',\\n' order by attnum)
    from pg_attribute a join pg_type t on t.oid = atttypid
    left join lateral (select pg_get_expr(adbin, adrelid) as value from pg_attrdef
      where adrelid = a.attrelid and adnum = a.attnum) as d on true
   where attrelid = c.oid and attnum > 0 and not attisdropped)`;

/** PostgreSQL 18 also has NOT NULL among the constraints ('n'); here it stands with its column. */
const ownConstraints = `(
  select string_agg(format('  constraint %I %s', conname, pg_get_constraintdef(k.oid)), E',\\n'
           order by position(contype::text in 'puxc'), conname collate "C")
    from pg_constraint k
   where conrelid = c.oid and contype in ('p', 'u', 'x', 'c') and conislocal)`;

const makeTable = `case when relispartition
  then format('create table %I.%I partition of %s %s', nspname, relname, (
    select inhparent::regclass from pg_inherits where inhrelid = c.oid),
    pg_get_expr(relpartbound, c.oid))
  else format(E'create table %I.%I (\\n%s\\n)', nspname, relname,
    concat_ws(E',\\n', ${columns}, ${ownConstraints})) end
  || case when relkind = 'p' then ' partition by ' || pg_get_partkeydef(c.oid) else '' end
  || case when reloptions is not null then ' with (' || array_to_string(reloptions, ', ') || ')'
     else '' end || ';'`;

const indexes = `(
  select string_agg(${lines(
    "replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') || ';'",
    comment("pg_class", "i.indexrelid", "format('index %s', i.indexrelid::regclass)"),
  )}, E'\\n' order by x.relname collate "C")
    from pg_index i join pg_class x on x.oid = i.indexrelid
   where i.indrelid = c.oid
     and not exists (select from pg_constraint k where k.conindid = i.indexrelid
       and k.contype in ('p', 'u', 'x'))
     and not exists (select from pg_inherits where inhrelid = i.indexrelid))`;

const policies = `(
  select string_agg(format('create policy %I on %s as %s for %s to %s%s%s;', polname,
      c.oid::regclass,
      case when polpermissive then 'permissive' else 'restrictive' end,
      case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
        when 'd' then 'delete' else 'all' end,
      (select string_agg(case when role = 0 then 'public'
           else quote_ident(pg_get_userbyid(role)) end, ', ' order by role)
         from unnest(polroles) as role),
      E'\\n  using (' || pg_get_expr(polqual, polrelid) || ')',
      E'\\n  with check (' || pg_get_expr(polwithcheck, polrelid) || ')'), E'\\n'
        order by polname collate "C")
    from pg_policy where polrelid = c.oid)`;

/** Partitions are "late": their parents come first. */
const tables = `
  select format('%I.%I', nspname, relname) as object, relispartition as late, ${lines(
    makeTable,
    comment("pg_class", "c.oid", "format('table %I.%I', nspname, relname)"),
    `(select string_agg(format('comment on column %I.%I.%I is %L;', nspname, relname, attname,
        description), E'\\n' order by attnum) from pg_description
        join pg_attribute on attrelid = objoid and attnum = objsubid
       where classoid = 'pg_class'::regclass and objoid = c.oid)`,
    indexes,
    `(select string_agg(pg_get_statisticsobjdef(s.oid) || ';', E'\\n' order by stxname collate "C")
        from pg_statistic_ext s where stxrelid = c.oid)`,
    `case when relrowsecurity
      then format('alter table %I.%I enable row level security;', nspname, relname) end`,
    `case when relforcerowsecurity
      then format('alter table %I.%I force row level security;', nspname, relname) end`,
    policies,
    `(select string_agg(pg_get_triggerdef(g.oid) || ';' || case when tgenabled = 'O' then ''
          else format(E'\\nalter table %s %s trigger %I;', c.oid::regclass, case tgenabled
            when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end, tgname)
          end, E'\\n' order by tgname collate "C")
        from pg_trigger g where tgrelid = c.oid and not tgisinternal and tgparentid = 0)`,
    `(select string_agg(pg_get_ruledef(r.oid), E'\\n' order by rulename collate "C")
        from pg_rewrite r where ev_class = c.oid)`,
    grantsOf("relacl", "relowner", "format('%I.%I', nspname, relname)"),
    `(select string_agg(format('grant %s (%I) on %I.%I to %s;', lower(privilege_type), attname,
          nspname, relname, case when grantee = 0 then 'public'
            else quote_ident(pg_get_userbyid(grantee)) end), E'\\n'
          order by privilege_type, attnum, grantee)
        from pg_attribute, aclexplode(attacl)
       where attrelid = c.oid and not attisdropped and grantee <> relowner)`,
  )} as text
    from pg_class c join pg_namespace n on n.oid = relnamespace
   where nspname = any ($1) and relkind in ('r', 'p') and ${notOfExtension("pg_class", "c.oid")}`;

const views = `
  select format('%I.%I', nspname, relname) as object, ${lines(
    `format(E'create %s %I.%I%s as\\n%s', case relkind when 'm' then 'materialized view'
        else 'view' end, nspname, relname,
        case when reloptions is not null then ' with (' || array_to_string(reloptions, ', ') || ')'
          else '' end, pg_get_viewdef(c.oid, true))`,
    comment(
      "pg_class",
      "c.oid",
      "format('%s %s', case relkind when 'm' then 'materialized view' else 'view' end, c.oid::regclass)",
    ),
    indexes,
    grantsOf("relacl", "relowner", "format('%I.%I', nspname, relname)"),
  )} as text
    from pg_class c join pg_namespace n on n.oid = relnamespace
   where nspname = any ($1) and relkind in ('v', 'm') and ${notOfExtension("pg_class", "c.oid")}`;

const foreignKeys = `
  select format('%s %I', conrelid::regclass, conname) as object,
         format(E'alter table %s add constraint %I\\n  %s;', conrelid::regclass, conname,
           pg_get_constraintdef(k.oid)) as text
    from pg_constraint k join pg_class c on c.oid = conrelid
    join pg_namespace n on n.oid = relnamespace
   where nspname = any ($1) and contype = 'f' and conislocal and conparentid = 0`;

/** Sequences that go with a column, as "serial" makes them. */
const ownerships = `
  select c.oid::regclass::text as object, format('alter sequence %s owned by %s.%I;',
      c.oid::regclass, d.refobjid::regclass, attname) as text
    from pg_class c join pg_namespace n on n.oid = relnamespace
    join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'a'
    join pg_attribute on attrelid = d.refobjid and attnum = d.refobjsubid
   where nspname = any ($1) and relkind = 'S'`;

/** In the order in which they can be run; `late` picks some of the rows. */
export const dumpQueries: readonly { text: string; late?: boolean }[] = [
  { text: extensions },
  { text: schemas },
  { text: types },
  { text: sequences },
  { text: functions, late: false },
  { text: tables, late: false },
  { text: tables, late: true },
  { text: functions, late: true },
  { text: views },
  { text: foreignKeys },
  { text: ownerships },
];
