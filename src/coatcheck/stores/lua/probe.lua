-- Whether the server takes writes: what a login would be told, or nothing. Its key is gone afterwards.
local answer = redis.pcall('SET', BASE .. '-', '1', 'PX', '1000')
if type(answer) == 'table' and answer.err then
  return answer.err
end
redis.call('DEL', BASE .. '-')
return false
