import { defineScript } from "redis";

/**
 * Each key is a hash of its value as JSON, the version (term and seq) of its last write and that
 * write's id; a deleted one has no value and goes away by itself after `tombstoneMs`. `meta`
 * counts: seq goes up with each write, term with each history of its own that a server begins,
 * which its `master_replid` tells: another one became primary, or the same after a restart. `forks`
 * says of each term where it took over.
 * KEYS: meta, forks, cell. ARGV: op, id, value, expected term ("" for nothing there), expected seq,
 * tombstoneMs. Answers [ok or mismatch, term, seq, value].
 */
const writeSource = `
  local info = redis.call('INFO', 'replication')
  local replid = string.match(info, 'master_replid:(%x+)')
  local meta = redis.call('HMGET', KEYS[1], 'replid', 'term', 'seq')
  local cell = redis.call('HMGET', KEYS[3], 'term', 'seq', 'id', 'value')
  if cell[3] == ARGV[2] then
    return {'ok', cell[1], cell[2], cell[4]}
  end
  if ARGV[1] == 'cas' then
    local matches
    if ARGV[4] == '' then
      matches = cell[4] == false
    else
      matches = cell[1] == ARGV[4] and cell[2] == ARGV[5]
    end
    if not matches then
      return {'mismatch', cell[1], cell[2], cell[4]}
    end
  end
  local term = tonumber(meta[2] or 0)
  local seq = tonumber(meta[3] or 0)
  if meta[1] ~= replid then
    if term > 0 then
      redis.call('LPUSH', KEYS[2], string.format('%.0f:%.0f:%.0f', term + 1, term, seq))
      redis.call('LTRIM', KEYS[2], 0, 99)
    end
    term = term + 1
  end
  seq = seq + 1
  local termText = string.format('%.0f', term)
  local seqText = string.format('%.0f', seq)
  redis.call('HSET', KEYS[1], 'replid', replid, 'term', termText, 'seq', seqText)
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[3], 'term', termText, 'seq', seqText, 'id', ARGV[2])
  if ARGV[1] == 'delete' then
    redis.call('PEXPIRE', KEYS[3], ARGV[6])
  else
    redis.call('HSET', KEYS[3], 'value', ARGV[3])
  end
  return {'ok', termText, seqText, false}`;

/**
 * KEYS: meta, forks, cell. ARGV: the token's term ("" for none) and seq, and whether only a primary
 * may answer. Answers [term, seq, cell's term, seq and value, whether what the token saw is lost,
 * the role].
 */
const readSource = `
  local role = ''
  if ARGV[3] == '1' then
    role = string.match(redis.call('INFO', 'replication'), 'role:(%a+)')
  end
  local meta = redis.call('HMGET', KEYS[1], 'term', 'seq')
  local cell = redis.call('HMGET', KEYS[3], 'term', 'seq', 'value')
  local lost = 0
  if ARGV[1] ~= '' and tonumber(meta[1] or 0) > tonumber(ARGV[1]) then
    local term, seq = tonumber(ARGV[1]), tonumber(ARGV[2])
    for _, fork in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
      local later, afterTerm, afterSeq = string.match(fork, '(%d+):(%d+):(%d+)')
      later, afterTerm, afterSeq = tonumber(later), tonumber(afterTerm), tonumber(afterSeq)
      if later > term and (term > afterTerm or (term == afterTerm and seq > afterSeq)) then
        lost = 1
      end
    end
  end
  return {meta[1], meta[2], cell[1], cell[2], cell[3], lost, role}`;

/** A deleted key's version is remembered for a day. */
export const tombstoneMs = 86_400_000;

/** The keys of a store. */
export interface StoreKeys {
  readonly meta: string;
  readonly forks: string;
  cell(key: string): string;
}

/** All keys of a store have its id in braces, which keeps them together where slots are many. */
export const keysOf = (storeId: string): StoreKeys => ({
  meta: `plimsoll:{${storeId}}:meta`,
  forks: `plimsoll:{${storeId}}:forks`,
  cell: (key) => `plimsoll:{${storeId}}:key:${key}`,
});

type Reply = (string | number | null)[];

const script = (source: string, isReadOnly: boolean) =>
  defineScript({
    SCRIPT: source,
    NUMBER_OF_KEYS: 3,
    IS_READ_ONLY: isReadOnly,
    parseCommand(parser, keys: readonly string[], values: readonly string[]) {
      for (const key of keys) parser.pushKey(key);
      parser.push(...values);
    },
    transformReply: (reply: unknown) => reply as Reply,
  });

/** The scripts of a client. */
export const scripts = { change: script(writeSource, false), look: script(readSource, true) };
