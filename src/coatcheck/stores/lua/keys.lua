-- ARGV: 6 what to do: all, add, retire or delete; then: add: the key's id, its row, and the ids expected; retire: its id
-- and when, delete: its id. One hash, from id to row (MessagePack).
local KEYRING = BASE .. 'k'
local order, kid = ARGV[6], ARGV[7]
if order == 'all' then
  return redis.call('HVALS', KEYRING)
end
if order == 'add' then
  local expected = {}
  local count = 0
  for place = 9, #ARGV do
    if not expected[ARGV[place]] then
      expected[ARGV[place]] = true
      count = count + 1
    end
  end
  for _, present in ipairs(redis.call('HKEYS', KEYRING)) do
    if not expected[present] or present == kid then
      return 0
    end
    count = count - 1
  end
  if count ~= 0 then
    return 0
  end
  redis.call('HSET', KEYRING, kid, ARGV[8])
  return 1
end
whatever_the_memory()
if order == 'delete' then
  return redis.call('HDEL', KEYRING, kid)
end
local packed = redis.call('HGET', KEYRING, kid)
if packed then
  local row = cmsgpack.unpack(packed)
  row[6] = tonumber(ARGV[8])
  redis.call('HSET', KEYRING, kid, cmsgpack.pack(row))
end
return 1
