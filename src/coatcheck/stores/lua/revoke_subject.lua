-- ARGV: 6 the subject, 7 the id of the session that stays, or nothing, 8 the kinds that are spared, as the event says it;
-- then each kind and whether it is ended, in turn. The new epoch.
local subject, excepted = ARGV[6], ARGV[7]
local epoch = standing(subject)
local following = next_number(epoch)
local kept = nil
if excepted ~= '' then
  kept = live(excepted)
  if not kept or kept[SUBJECT] ~= subject then
    return false
  end
end
local spared, over, ended, behind = {}, {}, {}, {}
for place = 9, #ARGV, 2 do
  local kind = ARGV[place]
  local _, _, cut = standing(subject, kind)
  if ARGV[place + 1] == '1' then
    ended[kind] = true
    over[#over + 1] = kind
    lanes_of(subject, kind, behind)
  else
    spared[#spared + 1] = kind
    spared[#spared + 1] = whole(cut)
  end
end
whatever_the_memory()
ensure_feed()
append('c', subject, excepted, ARGV[8], following)
redis.call('HSET', subject_key(subject), 'e', whole(following))
if #spared > 0 then
  redis.call('HSET', subject_key(subject), 'at', whole(following), unpack(spared))
  redis.call('HDEL', subject_key(subject), unpack(over))
end
if kept and ended[kind_of(kept)] then
  redis.call('ZREM', index_of(kept), excepted)
  kept[EPOCH] = in_row(kept, following)
  save(excepted, kept)
end
for _, name in ipairs(behind) do
  if redis.call('EXISTS', BASE .. 'i:' .. name) == 1 then
    redis.call('SADD', LEFT_BEHIND, name)
  end
end
wake()
return following
