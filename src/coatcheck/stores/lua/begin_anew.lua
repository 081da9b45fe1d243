-- ARGV: 6 the identity of the feed, 7 from when on it may cover anything, 8 what the highest time is from now on, or
-- nothing. Gives the feed another identity, if it still is this one, and says whether.
local found = redis.call('HMGET', KEYS[1], 'id', 'since')
if found[1] ~= ARGV[6] then
  return 0
end
whatever_the_memory()
local since = math.max(tonumber(ARGV[7]), now)
if ARGV[8] == '' then
  since = math.max(since, tonumber(found[2]), highest())
end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'since', exact(since))
local last = redis.call('XREVRANGE', FEED, '+', '-', 'COUNT', 1)[1]
if ARGV[8] ~= '' and last then
  redis.call('HSET', KEYS[1], 'void_from', exact(tonumber(ARGV[8]) + 1), 'void_to', exact(highest() + 1))
  redis.call('HSET', KEYS[1], 'clock', ARGV[8], 'ahead', last[1])
end
wake()
return 1
