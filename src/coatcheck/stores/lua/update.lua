-- ARGV: 6 the session's id, 7 the version expected, 8 whether this is an event; then a field's place, 's' or 'n' for
-- text or number, and its value, in turn. The row as it is now.
local id = ARGV[6]
local session = live(id)
if not session then
  return {'gone'}
end
if session[VERSION] ~= tonumber(ARGV[7]) then
  return {'conflict'}
end
session[VERSION] = session[VERSION] + 1
for place = 9, #ARGV, 3 do
  local value = ARGV[place + 2]
  session[tonumber(ARGV[place])] = ARGV[place + 1] == 'n' and tonumber(value) or value
end
if ARGV[8] == '1' then
  -- What takes memory comes first, so that a refusal for want of it changes nothing.
  ensure_feed()
  append('s', session[SUBJECT], id, '', session[VERSION])
  local packed = save(id, session)
  wake()
  return {'changed', packed}
end
return {'changed', save(id, session)}
