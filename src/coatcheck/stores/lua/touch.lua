-- ARGV: from 6 on, a session's id and when it was seen, in turn. The ids of those that are not live.
local dead = {}
whatever_the_memory()
for place = 6, #ARGV, 2 do
  local id, seen = ARGV[place], tonumber(ARGV[place + 1])
  local session = live(id)
  if session then
    use(session, seen)
    save(id, session)
  else
    dead[#dead + 1] = id
  end
end
return dead
