-- ARGV: 6 the session's id, 7 the row, 8 how many live sessions the subject may have (0: any number), 9 how many may
-- end at once, 10 how many rows one login looks at, beside those that it counts.
local id = ARGV[6]
local session = cmsgpack.unpack(ARGV[7])
local epoch = standing(session[SUBJECT])
if session[EPOCH] ~= epoch then
  return {'epoch'}
end
if redis.call('EXISTS', session_key(id)) == 1 then
  return {'id'}
end

local index = index_key(session[SUBJECT], epoch)
local keep, most, patience = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local known = redis.call('ZCARD', index)
local dead, ended = {}, {}

local function is_live(other)
  local found = load(other)
  if found and holds(found, epoch) then
    return found
  end
  dead[#dead + 1] = other
  return nil
end

if keep == 0 or known < keep then
  -- So the index does not grow with sessions that nobody ends.
  for _, other in ipairs(redis.call('ZRANGE', index, 0, 1)) do
    is_live(other)
  end
else
  -- From the newest down as many as may stay; then from the oldest up those that must go.
  local kept, looked = 0, 0
  while kept < keep - 1 and looked < known and #dead < patience do
    local other = redis.call('ZREVRANGE', index, looked, looked)[1]
    looked = looked + 1
    if is_live(other) then
      kept = kept + 1
    end
  end
  for place = 0, known - looked - 1 do
    if #ended == most or #dead >= patience then
      break
    end
    local other = redis.call('ZRANGE', index, place, place)[1]
    local found = is_live(other)
    if found then
      ended[#ended + 1] = {other, found}
    end
  end
end

redis.call('SET', session_key(id), ARGV[7], 'PX',
  milliseconds(math.min(session[IDLE_DEADLINE], session[ABSOLUTE_DEADLINE]) - now))
enlist(id, session)
issued()
for _, other in ipairs(dead) do
  redis.call('ZREM', index, other)
end
local ids = {}
if #ended > 0 then
  ensure_feed()
  for place, item in ipairs(ended) do
    finish(item[1], item[2])
    ids[place] = item[1]
  end
  wake()
end
return {'made', ids}
