-- ARGV: 6 the session's id. The row, epoch and version; nothing when it is not live.
local session, epoch, version, packed = live(ARGV[6])
if not session then
  return false
end
return {packed, epoch, version}
