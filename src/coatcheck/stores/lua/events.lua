-- ARGV: 6 the position to read after, or nothing, 7 how many. The feed's identity, since when it covers what, the server's
-- clock, whether the position holds, the entries, the one at the position first, and the highest time. ARGV: 8 whether to prove by a write, which
-- changes nothing, that this primary may write: one that has lost its replicas is refused it (min-replicas-to-write).
if ARGV[8] == '1' then
  whatever_the_memory()
end
local feed = ensure_feed()
local from = ARGV[6] == '' and '-' or ARGV[6]
local entries = redis.call('XRANGE', FEED, from, '+', 'COUNT', tonumber(ARGV[7]) + 2)
local holds_still = ARGV[6] == '' or (entries[1] and entries[1][1] == ARGV[6])
return {
  feed[1], feed[3], feed[4] or '', whole(microseconds()), holds_still and 1 or 0, holds_still and entries or {},
  exact(highest())
}
