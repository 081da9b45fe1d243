-- ARGV: 6 the session's id, 7 the generation presented, 8 the reuse window. What it is, the row, epoch and version.
-- The rule is `judge` in stores/rules.py. Reuse ends the session whatever its deadlines say; all else needs a live one.
local id, generation, window = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local session, packed = load(id)
if not session or generation < 0 or generation > session[GENERATION] then
  return {'gone'}
end
local epoch, version, cut = standing(session[SUBJECT], kind_of(session))
local replayed = generation == session[GENERATION] - 1 and math.abs(now - session[ROTATED]) <= window
local unused = generation == session[GENERATION] or replayed
if session[EPOCH] ~= in_row(session, cut) or (unused and not holds(session, cut)) then
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
if replayed then
  return {'replayed', packed, epoch, version}
end
whatever_the_memory()
ensure_feed()
finish(id, session)
wake()
return {'reused', packed, epoch, version}
