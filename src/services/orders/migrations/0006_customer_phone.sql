-- scope: shared, dedicated
-- A customer is found by telephone number however it was typed: who writes may have allergies.

-- The digits of a number, after a + where it begins with its country ("+44", "0044", "(+44)", with
-- or without "(0)"), and otherwise as they are dialled at home. '?' for what is not plainly one
-- number: several, an extension, words. Marks of direction come with numbers that are pasted.
create function phone_digits(phone text) returns text
language sql immutable parallel safe
as $$
  select case
    when phone is null then null
    when digits ~ '^[+]?[0-9]{4,17}$' then digits
    else '?'
  end
  from regexp_replace(phone,
    '[[:space:]\u00a0\u2000-\u200f\u202a-\u202f\u2060-\u2069\ufeff]', '', 'g') as dense,
  lateral regexp_replace(dense, '^([(]?([+]|00)[-0-9.()/]*)[(]0[)]', '\1') as international,
  lateral regexp_replace(international, '[-().\u2010-\u2015/]', '', 'g') as joined,
  lateral regexp_replace(joined, '^00', '+') as digits
$$;

alter table customer
  add column phone_digits text generated always as (phone_digits(phone)) stored;
drop index customer_of_phone;
create index customer_of_phone on customer (tenant_id, phone_digits, id)
  where phone_digits is not null;
