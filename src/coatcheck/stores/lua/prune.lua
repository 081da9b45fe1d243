-- ARGV: 6 events older than this may go, 7 how many sessions, 8 how many events. How many of each went.
local before, most_rows, most_events = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local rows, events = 0, 0
whatever_the_memory()

local indexes = 0
while rows < most_rows and indexes < 100 do
  local name = redis.call('SRANDMEMBER', LEFT_BEHIND)
  if not name then
    break
  end
  indexes = indexes + 1
  local index = BASE .. 'i:' .. name
  local popped = redis.call('ZPOPMIN', index, most_rows - rows)
  for place = 1, #popped, 2 do
    redis.call('DEL', session_key(popped[place]))
    rows = rows + 1
  end
  if redis.call('EXISTS', index) == 0 then
    redis.call('SREM', LEFT_BEHIND, name)
  end
end

local feed = ensure_feed()
issued()
-- What was appended up to here was dated by a clock that was far ahead and has been put right.
local ahead = tonumber(string.match(redis.call('HGET', KEYS[1], 'ahead') or '', '^%d+'))
local last, newest = nil, tonumber(feed[4])
for place, entry in ipairs(redis.call('XRANGE', FEED, '-', '+', 'COUNT', most_events + 1)) do
  if place > 1 then
    local at = tonumber(entry[2][4])
    local place_at = tonumber(string.match(entry[1], '^%d+'))
    if ahead and place_at <= ahead then
      at = math.min(at, place_at / 1000000)
    end
    if at >= before then
      break
    end
    events, last, newest = events + 1, entry[1], math.max(newest or at, at)
    local kind = entry[2][2]
    if kind == 'r' or kind == 't' then
      redis.call('SREM', DONE, entry[2][8] .. ' ' .. entry[2][10])
    end
    if kind == 't' then
      local count = tonumber(redis.call('HGET', COUNTS, entry[2][8]) or 0)
      if count > 1 then
        redis.call('HSET', COUNTS, entry[2][8], whole(count - 1))
      else
        redis.call('HDEL', COUNTS, entry[2][8])
      end
    end
  end
end
if last then
  -- The last one that goes stays as the place before the first that is left.
  redis.call('XTRIM', FEED, 'MINID', '=', last)
  redis.call('HSET', KEYS[1], 'cut', exact(newest))
end
return {rows, events, indexes}
