-- ARGV: 6 the session's id, 7 the generation presented, 8 the reuse window. What it is, the row, epoch and version.
-- The rule is `judge` in stores/rules.py.
local id, generation, window = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local session, epoch, version, packed = live(id)
if not session or generation < 0 or generation > session[GENERATION] then
  return {'gone'}
end
if generation == session[GENERATION] then
  use(session, now)
  session[GENERATION] = generation + 1
  session[ROTATED] = now
  whatever_the_memory()
  issued()
  return {'rotated', save(id, session), epoch, version}
end
if generation == session[GENERATION] - 1 and math.abs(now - session[ROTATED]) <= window then
  return {'replayed', packed, epoch, version}
end
whatever_the_memory()
ensure_feed()
finish(id, session)
wake()
return {'reused', packed, epoch, version}
