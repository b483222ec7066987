"""Hold the ledgers of `core.leases` in Redis: the same arithmetic in Lua, so that a bid is one atomic round trip.

A ledger is two keys of one hash slot: its own numbers, and one field for each member. Numbers are packed as doubles.
Both implementations pass one conformance suite, and a test runs them side by side. Must not say anything that
`core.leases` does not.
"""

from string import Template
from typing import Final

from sidecar.core import leases

_CONSTANTS: Final = {
    "COUNT_EVERY": leases.COUNT_EVERY,
    "AWAY": leases.AWAY,
    "UNHEARD": leases.UNHEARD,
    "WINDOW": leases.WINDOW,
    "RESTING": leases.RESTING,
    "SPARE": leases.SPARE,
    "ENOUGH_ANSWERS": leases.ENOUGH_ANSWERS,
    "TOLERATED": leases.TOLERATED,
    "DEEPEST_CUT": leases.DEEPEST_CUT,
    "UNEVEN": leases.UNEVEN,
    "FIT_FLOOR": leases.FIT_FLOOR,
    "RECOVERY": leases.RECOVERY,
}

_LEDGER: Final = """
local LEDGER, MEMBER = '>ddddddddddd', '>ddddd'
local turn, learns_until, counted_at, counted, agreed = 0, -math.huge, -math.huge, 0, math.huge
local level, spare, fraction, since, answered, throttled = math.huge, 0, 1, -math.huge, 0, 0
local kept = redis.call('GET', KEYS[1])
if kept then
  turn, learns_until, counted_at, counted, agreed, level, spare, fraction, since, answered, throttled =
    struct.unpack(LEDGER, kept)
end
local function keep(milliseconds)
  redis.call('SET', KEYS[1], struct.pack(LEDGER, turn, learns_until, counted_at, counted, agreed,
    level, spare, fraction, since, answered, throttled), 'PX', milliseconds)
end
"""

RENEW: Final = Template(
    _LEDGER
    + """
local name = ARGV[1]
local need, share, safe, holds = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local seen, is_alone, lasting = tonumber(ARGV[6]), ARGV[9] == '1', tonumber(ARGV[10])
local now = tonumber(ARGV[11])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end

local function longest(wanted)
  if wanted > 0 then return now + lasting end
  return now + lasting * $RESTING
end

local rate, held = 0, 0
local was = redis.call('HGET', KEYS[2], name)
if seen > turn or (is_alone and now - counted_at > $AWAY * lasting) or (not was and holds > 0) then
  learns_until = now + lasting
elseif turn == 0 then
  learns_until = now + $UNHEARD * lasting
end
learns_until = math.min(learns_until, now + lasting)
turn = math.max(turn, seen) + 1

if was then
  local _
  _, _, rate, held = struct.unpack(MEMBER, was)
end
answered, throttled = answered + tonumber(ARGV[7]), throttled + tonumber(ARGV[8])

local function adjust()
  local passed, calls = now - since, answered + throttled
  local window = $WINDOW * lasting
  if passed >= 0 and passed < window then return end
  if throttled <= $TOLERATED * calls then
    fraction = math.min(1, fraction + $RECOVERY)
  elseif calls >= $ENOUGH_ANSWERS then
    local used = $UNEVEN * calls / math.max(passed, window) / agreed
    fraction = math.max($FIT_FLOOR, $DEEPEST_CUT * fraction, math.min(fraction, used) * (1 - throttled / calls))
  end
  since, answered, throttled = now, 0, 0
end

local function weigh(needs)
  local left = agreed * fraction
  local sum = 0
  table.sort(needs)
  level, spare = math.huge, 0
  for index, each in ipairs(needs) do
    local others = #needs - index + 1
    if each * others > left then
      level = math.max(0, left / others)
      return
    end
    left = left - each
  end
  if #needs > 0 then spare = math.max(0, $SPARE * left / #needs) end
end

if now - counted_at < 0 or now - counted_at >= $COUNT_EVERY * lasting then
  counted, agreed = math.max(rate, held), share
  local needs = {}
  if need > 0 then needs[1] = need end
  local members = redis.call('HGETALL', KEYS[2])
  for index = 1, #members, 2 do
    if members[index] ~= name then
      local other_need, other_share, other_rate, other_held, other_until = struct.unpack(MEMBER, members[index + 1])
      if other_until > longest(other_need) then
        other_until = longest(other_need)
        redis.call('HSET', KEYS[2], members[index],
          struct.pack(MEMBER, other_need, other_share, other_rate, other_held, other_until))
      end
      if other_until <= now then
        redis.call('HDEL', KEYS[2], members[index])
      else
        counted = counted + math.max(other_rate, other_held)
        agreed = math.min(agreed, other_share)
        if other_need > 0 then needs[#needs + 1] = other_need end
      end
    end
  end
  adjust()
  weigh(needs)
  counted_at = now
end

agreed = math.min(agreed, share)
local most = 0
if need > 0 then
  most = math.min(need, level)
  if was then most = most + spare end
end
if now < learns_until then most = math.min(most, math.max(holds, safe)) end
local others = counted - math.max(rate, held)
rate, held = math.max(0, math.min(most, math.max(holds, agreed * fraction - others))), holds
counted = others + math.max(rate, held)

redis.call('HSET', KEYS[2], name, struct.pack(MEMBER, need, share, rate, held, longest(need)))
local forget = math.ceil(2000 * lasting * $RESTING)
redis.call('PEXPIRE', KEYS[2], forget)
keep(forget)
local numbers = {rate, most, redis.call('HLEN', KEYS[2]), agreed, agreed * fraction, turn}
for index, number in ipairs(numbers) do numbers[index] = string.format('%.17g', number) end
return numbers
"""
).substitute(_CONSTANTS)
"""KEYS: ledger, members. ARGV: member, need, share, safe, holds, seen, answered, throttled, alone, lasting, now.

`now` is empty where the server's own clock counts. Gives rate, part, members, agreed, share and turn, as text.
"""

LEAVE: Final = (
    _LEDGER
    + """
local was = redis.call('HGET', KEYS[2], ARGV[1])
if not was or not kept then return 0 end
local _, _, rate, held = struct.unpack(MEMBER, was)
counted = counted - math.max(rate, held)
redis.call('HDEL', KEYS[2], ARGV[1])
keep(math.max(1, redis.call('PTTL', KEYS[1])))
return 1
"""
)
"""KEYS: ledger, members. ARGV: member."""
