-- ARGV: 6 the session's id. The row of the session that was ended; nothing where there was none, or one that was cut
-- off before.
whatever_the_memory()
ensure_feed()
local session, packed = revoke(ARGV[6])
if #told > 0 then
  wake()
end
if not session then
  return false
end
local _, _, cut = standing(session[SUBJECT], kind_of(session))
return session[EPOCH] == in_row(session, cut) and packed or false
