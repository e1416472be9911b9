"""What Redis does in one step. Lua; each script is atomic, and knows no clock but the server's.

Cooldowns stand in one hash, each as ``[state, until in ms, epoch, ejections, refusals, reason, is capped]``; news in a
stream; slots and probes in sorted sets of holders by the end of their lease; an amount in a hash of ``v`` and ``e``
(`ledger.Count`, in ms). The rules are those of `contract.merged` and `ledger`; `tests/state/test_backends.py` holds
them against each other.
"""

from typing import Final

from .contract import ERA, OPERATOR

_CLOCK: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_COUNTS: Final = """
local function count(key)
  local row = redis.call('HMGET', key, 'v', 'e')
  local ends_at = tonumber(row[2] or '0')
  if ends_at <= now then return 0, 0 end
  return tonumber(row[1]), ends_at
end
local function used(key, limit, life, paced)
  local value, ends_at = count(key)
  if ends_at == 0 then return 0, 0 end
  if paced then return (value - now) * limit / life, ends_at end
  return value, ends_at
end
local function add(key, amount, limit, life, paced)
  local already, ends_at = used(key, limit, life, paced)
  local total = math.max(0, already + amount)
  local value = total
  if paced and not (limit > 0) then
    ends_at = now
  elseif paced then
    value = now + total * life / limit
    ends_at = value
  elseif ends_at == 0 then
    ends_at = now + life
  end
  if ends_at <= now then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'v', string.format('%.17g', value), 'e', string.format('%.17g', ends_at))
    redis.call('PEXPIREAT', key, math.ceil(ends_at))
  end
  return total
end
"""

MERGE: Final = (
    _CLOCK
    + f"local ERA, OPERATOR = {ERA}, '{OPERATOR}'\n"
    + """
-- KEYS: cooldowns, news. ARGV: scope, entry, writer, most news, nobody
local phases = {cooling = 0, disabled = 1, healthy = 2}
local function is_newer(a, b)
  if a[3] ~= b[3] then return a[3] > b[3] end
  if (a[6] == OPERATOR) ~= (b[6] == OPERATOR) then return a[6] == OPERATOR end
  if a[1] ~= b[1] then return phases[a[1]] > phases[b[1]] end
  if a[4] ~= b[4] then return a[4] > b[4] end
  if a[5] ~= b[5] then return a[5] > b[5] end
  return a[6] > b[6]
end
local entry = cjson.decode(ARGV[2])
entry[2] = now + entry[2]
local writer, told = ARGV[3], cjson.encode(entry)
local row = redis.call('HGET', KEYS[1], ARGV[1])
if row then
  local known = cjson.decode(row)
  local last = math.max(entry[2], known[2])
  local is_one_era = math.floor(entry[3] / ERA) == math.floor(known[3] / ERA)
  if is_newer(known, entry) then entry = known end
  if is_one_era then entry[2] = last end
end
local text = cjson.encode(entry)
if text == row then return end -- nothing new: who has not yet heard of it will
if text ~= told then writer = ARGV[5] end -- its writer has to hear it, too
redis.call('HSET', KEYS[1], ARGV[1], text)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'w', writer, 's', ARGV[1], 'e', text)
"""
)

FACT: Final = (
    _CLOCK
    + """
-- KEYS: fact, news. ARGV: name, value, life, writer, most news, most bytes of news
local life = tonumber(ARGV[3])
if life > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', life)
else
  redis.call('DEL', KEYS[1])
end
local told = ARGV[2]
if #told > tonumber(ARGV[6]) then told, life = '', 0 end -- too large: it is told that what was known is no more
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'w', ARGV[4], 'f', ARGV[1], 'v', told, 'u', now + life)
"""
)

READ: Final = (
    _CLOCK
    + """
-- KEYS: cooldowns, news. ARGV: cursor ('' = all that is known), most news of one look, most news that are kept. Returns
-- the time, the next cursor, all cooldowns if news may have been missed, news, and 1 if some were removed unread
local function is_later(a, b)
  local a_ms, a_number = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_number = string.match(b, '(%d+)-(%d+)')
  if a_ms ~= b_ms then return tonumber(a_ms) > tonumber(b_ms) end
  return tonumber(a_number) > tonumber(b_number)
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local newest = last[1] and last[1][1] or '0-0'
local is_lost = ARGV[1] == '' or is_later(ARGV[1], newest) -- at first, or of a server that knew more than this one
local is_removed = false
if not is_lost and redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  is_removed = is_later(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1][1], ARGV[1])
end
if is_lost or is_removed then return {now, newest, redis.call('HGETALL', KEYS[1]), {}, is_removed and 1 or 0} end
local news = redis.call('XRANGE', KEYS[2], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
return {now, #news > 0 and news[#news][1] or ARGV[1], {}, news, 0}
"""
)

SWEEP: Final = (
    _CLOCK
    + """
-- KEYS: cooldowns. ARGV: how long an entry is remembered after its end, scopes
for i = 2, #ARGV do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if known and cjson.decode(known)[2] + ARGV[1] < now then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
"""
)

ADMIT: Final = (
    _CLOCK
    + _COUNTS
    + """
-- KEYS: cooldowns, one of each probe, slot and amount, done. ARGV: holder, lease, three numbers of them, how long is
-- known what was done, then of each probe scope and epoch, of each slot the limit, of each amount amount, limit, life
-- and 1 if it is paced. Returns {-1, used, ...} or {place among the keys, wait}; {0}: it was undone before it came here
local holder, lease = ARGV[1], tonumber(ARGV[2])
local probes, slots, amounts = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local done = KEYS[#KEYS]
if redis.call('EXISTS', done) == 1 then return {0} end
local function holders(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return redis.call('ZCARD', key)
end
local at = 7
for i = 1, probes do
  local known = redis.call('HGET', KEYS[1], ARGV[at])
  if known then
    known = cjson.decode(known)
    if known[3] > tonumber(ARGV[at + 1]) or known[1] == 'healthy' or known[2] > now then return {i, '1000'} end
  end
  if holders(KEYS[1 + i]) > 0 then return {i, '1000'} end
  at = at + 2
end
for i = probes + 1, probes + slots do
  if holders(KEYS[1 + i]) >= tonumber(ARGV[at]) then return {i, '1000'} end
  at = at + 1
end
local first = at
for i = probes + slots + 1, probes + slots + amounts do
  local amount, limit, life = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local paced = ARGV[at + 3] == '1'
  local already, ends_at = used(KEYS[1 + i], limit, life, paced)
  local wait = 0
  if not (limit > 0) then
    wait = life
  elseif paced then
    wait = (already + math.min(amount, limit) - limit) * life / limit
  elseif already + amount > limit then
    wait = ends_at == 0 and life or ends_at - now
  end
  if wait > 0 then return {i, string.format('%.17g', wait)} end
  at = at + 4
end
for i = 1, probes + slots do
  redis.call('ZADD', KEYS[1 + i], now + lease, holder)
  redis.call('PEXPIRE', KEYS[1 + i], lease + 1)
end
redis.call('SET', done, 'taken', 'PX', ARGV[6])
local answer = {-1}
at = first
for i = probes + slots + 1, probes + slots + amounts do
  local amount, limit, life = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  answer[#answer + 1] = string.format('%.17g', add(KEYS[1 + i], amount, limit, life, ARGV[at + 3] == '1'))
  at = at + 4
end
return answer
"""
)

UNDO: Final = (
    _CLOCK
    + _COUNTS
    + """
-- KEYS: done, one of each probe, slot and amount. ARGV: holder, number of probes and slots, how long is known what was
-- done, then of each amount amount, limit, life and 1 if it is paced
local slots = tonumber(ARGV[2])
local before = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], 'undone', 'PX', ARGV[3])
if before ~= 'taken' then return end
for i = 2, slots + 1 do redis.call('ZREM', KEYS[i], ARGV[1]) end
for i = slots + 2, #KEYS do
  local at = 4 * (i - slots - 2) + 4
  add(KEYS[i], -tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3] == '1')
end
"""
)

RENEW: Final = (
    _CLOCK
    + """
-- KEYS: of each slot. ARGV: lease, of each slot its holder
for i = 1, #KEYS do
  local ends_at = redis.call('ZSCORE', KEYS[i], ARGV[i + 1])
  if ends_at and tonumber(ends_at) > now then
    redis.call('ZADD', KEYS[i], now + ARGV[1], ARGV[i + 1])
    redis.call('PEXPIRE', KEYS[i], ARGV[1] + 1)
  end
end
"""
)

ADD: Final = (
    _CLOCK
    + _COUNTS
    + """
-- KEYS: done, of each amount. ARGV: how long is known what was done, of each amount, limit, life and 1 if it is paced
if not redis.call('SET', KEYS[1], 'taken', 'NX', 'PX', ARGV[1]) then return end
for i = 2, #KEYS do
  local at = 4 * i - 6
  add(KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3] == '1')
end
"""
)
