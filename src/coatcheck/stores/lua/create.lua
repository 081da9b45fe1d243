-- ARGV: 6 the session's id, 7 the row with the epoch that was read before, 8 how many live sessions the subject may have (0: any number), 9 how many may
-- end at once, 10 how many rows one login looks at, beside those that it counts.
local id, row = ARGV[6], ARGV[7]
local session = cmsgpack.unpack(row)
local subject, kind = session[SUBJECT], kind_of(session)
local epoch, _, cut = standing(subject, kind)
if session[EPOCH] < cut or session[EPOCH] > epoch then
  return {'epoch'}
end
if redis.call('EXISTS', session_key(id)) == 1 then
  return {'id'}
end
if session[EPOCH] ~= in_row(session, cut) then
  session[EPOCH] = in_row(session, cut)
  row = cmsgpack.pack(session)
end

local index = index_of(session)
local keep, most, patience = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local gives_way = kind == 'login' or kind == 'guest'
local names = gives_way and lanes_of(subject, 'guest', lanes_of(subject, 'login', {})) or lanes_of(subject, kind, {})
local known = 0
for _, name in ipairs(names) do
  known = known + redis.call('ZCARD', BASE .. 'i:' .. name)
end
local dead, ended = {}, {}

local function is_live(other, where)
  local found = load(other)
  if found then
    local _, _, its = standing(subject, kind_of(found))
    if holds(found, its) then
      return found
    end
  end
  dead[#dead + 1] = {other, where}
  return nil
end

if keep == 0 or known < keep then
  -- So the index does not grow with sessions that nobody ends.
  for _, other in ipairs(redis.call('ZRANGE', index, 0, 1)) do
    is_live(other, index)
  end
else
  -- From the newest down as many as may stay; then from the oldest up those that must go.
  local stay = gives_way and keep - 1 or keep
  local kept, looked = 0, 0
  local newer = walk(names, -1)
  while kept < stay and looked < known and #dead < patience do
    local other = newer()
    looked = looked + 1
    if is_live(other[1], other[3]) then
      kept = kept + 1
    end
  end
  if not gives_way and kept == stay then
    return {'full'}
  end
  local older = walk(names, 1)
  for _ = 1, gives_way and known - looked or 0 do
    if #ended == most or #dead >= patience then
      break
    end
    local other = older()
    local found = is_live(other[1], other[3])
    if found then
      ended[#ended + 1] = {other[1], found}
    end
  end
end

redis.call('SET', session_key(id), row, 'PX',
  milliseconds(math.min(session[IDLE_DEADLINE], session[ABSOLUTE_DEADLINE]) - now))
enlist(id, session)
issued()
for _, other in ipairs(dead) do
  redis.call('ZREM', other[2], other[1])
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
