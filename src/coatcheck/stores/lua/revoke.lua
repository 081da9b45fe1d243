-- ARGV: 6 the session's id. The row of the session that was ended; nothing where there was none of this epoch.
whatever_the_memory()
ensure_feed()
local session, packed = revoke(ARGV[6])
if #told > 0 then
  wake()
end
return session and session[EPOCH] == standing(session[SUBJECT]) and packed or false
