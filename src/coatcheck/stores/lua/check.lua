-- Calls every command that the other scripts call, on a key that is gone afterwards: so that a user who lacks a right is
-- told at the start, and by its name. The name of the first command that is refused, or nothing.
local scratch = BASE .. '-'
local refused = nil

local function try(...)
  local words = {...}
  if not refused then
    local answer = redis.pcall(...)
    if type(answer) == 'table' and answer.err then
      refused = words[1] .. ': ' .. answer.err
    end
  end
end

try('DEL', scratch)
try('SET', scratch, '1', 'PX', '1000')
try('GET', scratch)
try('EXISTS', scratch)
try('PTTL', scratch)
try('PEXPIRE', scratch, '1000')
try('DEL', scratch)
try('HSET', scratch, 'a', '1')
try('HGET', scratch, 'a')
try('HMGET', scratch, 'a')
try('HKEYS', scratch)
try('HVALS', scratch)
try('HDEL', scratch, 'a')
try('ZADD', scratch, '1', 'a')
try('ZCARD', scratch)
try('ZCOUNT', scratch, '1', '2')
try('ZRANGE', scratch, '0', '0')
try('ZREVRANGE', scratch, '0', '0')
try('ZREVRANK', scratch, 'a')
try('ZREM', scratch, 'b')
try('ZPOPMIN', scratch, '1')
try('SADD', scratch, 'a')
try('SRANDMEMBER', scratch)
try('SREM', scratch, 'a')
try('XADD', scratch, '1-1', 'k', 'b')
try('XRANGE', scratch, '-', '+')
try('XREVRANGE', scratch, '+', '-', 'COUNT', '1')
try('XTRIM', scratch, 'MINID', '=', '1')
try('DEL', scratch)
try('TIME')
try('PUBLISH', ARGV[5], '')
return refused or false
