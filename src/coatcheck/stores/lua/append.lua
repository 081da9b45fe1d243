-- An event that changes nothing else. ARGV: 6 its kind, 7 a session's id, 8 a token's id, 9 of how many tokens of one
-- session the feed tells at most. The end of a token is told once. Whether the session was ended instead.
local kind, id, token = ARGV[6], ARGV[7], ARGV[8]
whatever_the_memory()
ensure_feed()
local ended = 0
if kind ~= 't' then
  append(kind, '', id, token, 0)
elseif is_news(id, token) then
  local count = tonumber(redis.call('HGET', COUNTS, id) or 0)
  if count < tonumber(ARGV[9]) then
    redis.call('HSET', COUNTS, id, whole(count + 1))
    append(kind, '', id, token, 0)
  else
    redis.call('SREM', DONE, id .. ' ' .. token)
    revoke(id)
    ended = 1
  end
end
if #told > 0 then
  wake()
end
return ended
