-- ARGV: 6 the subject, 7 how many, 8 and 9 where to go on: after this time and id (nothing: from the newest), 10 how
-- many dead rows to look at; then the kinds. The ids and rows, where to go on, and whether there is more.
local subject, limit, patience = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[10])
local names = {}
for place = 11, #ARGV do
  lanes_of(subject, ARGV[place], names)
end
local places, bound = {}, tonumber(ARGV[8])
for n, name in ipairs(names) do
  local index = BASE .. 'i:' .. name
  local rank = bound and redis.call('ZREVRANK', index, ARGV[9])
  places[n] = rank and rank + 1 or bound and redis.call('ZCOUNT', index, '(' .. ARGV[8], '+inf') or 0
end
local following = walk(names, -1, places)
local found, dead, last = {}, {}, {'', ''}
local more = false
while not more do
  local row = following()
  if not row then
    break
  end
  local id, created = row[1], row[2]
  if not bound or created < bound or (created == bound and id < ARGV[9]) then
    local session, packed = load(id)
    local _, _, cut = standing(subject, session and kind_of(session))
    if not session or not holds(session, cut) then
      dead[#dead + 1] = row
      more = #dead == patience
    elseif #found == 2 * limit then
      more = true
      break
    else
      found[#found + 1] = id
      found[#found + 1] = packed
    end
    if more or (session and #found > 0 and found[#found - 1] == id) then
      last = {exact(created), id}
    end
  end
end
for _, row in ipairs(dead) do
  redis.call('ZREM', row[3], row[1])
end
return {found, last[1], last[2], more and 1 or 0}
