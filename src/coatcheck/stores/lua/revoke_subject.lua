-- ARGV: 6 the subject, 7 the id of the session that stays, or nothing. The new epoch.
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
local before = index_key(subject, epoch)
whatever_the_memory()
ensure_feed()
append('c', subject, excepted, '', following)
redis.call('HSET', subject_key(subject), 'e', whole(following))
if kept then
  redis.call('ZREM', before, excepted)
  kept[EPOCH] = following
  save(excepted, kept)
end
if redis.call('EXISTS', before) == 1 then
  redis.call('SADD', LEFT_BEHIND, subject .. ':' .. whole(epoch))
end
wake()
return following
