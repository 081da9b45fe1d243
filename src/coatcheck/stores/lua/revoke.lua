-- ARGV: 6 the session's id. The row of the session that was ended.
local id = ARGV[6]
local session, _, _, packed = live(id)
if not session then
  return false
end
whatever_the_memory()
ensure_feed()
finish(id, session)
wake()
return packed
