-- ARGV: 6 the subject, 7 how many, 8 and 9 where to go on: after this time and id (nothing: from the newest), 10 how
-- many dead rows to look at. The ids and rows, where to go on, and whether there is more.
local subject, limit, patience = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[10])
local epoch = standing(subject)
local index = index_key(subject, epoch)
local from, bound = 0, tonumber(ARGV[8])
if bound then
  local rank = redis.call('ZREVRANK', index, ARGV[9])
  from = rank and rank + 1 or redis.call('ZCOUNT', index, '(' .. ARGV[8], '+inf')
end
local found, dead, last = {}, {}, {'', ''}
local more = false
while not more do
  local row = redis.call('ZREVRANGE', index, from, from, 'WITHSCORES')
  if not row[1] then
    break
  end
  from = from + 1
  local id, created = row[1], tonumber(row[2])
  if not bound or created < bound or (created == bound and id < ARGV[9]) then
    local session, packed = load(id)
    if not session or not holds(session, epoch) then
      dead[#dead + 1] = id
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
for _, id in ipairs(dead) do
  redis.call('ZREM', index, id)
end
return {found, last[1], last[2], more and 1 or 0}
