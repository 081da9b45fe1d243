-- What every script begins with. A script is this file and one of the others, and works on one shard: all keys begin
-- with the same text, which holds the hash tag. Keys other than KEYS[1] are made from it, because which subject a
-- session belongs to is known only once it was read; they are in the same slot, so a cluster takes them.
--
--   m                      hash: id, n (shards), since, cut (the newest event that was pruned) of the feed, and clock,
--                          the highest time that anything was issued or pruned with. void_from, void_to: between
--                          these times nothing was made that counts. ahead: an entry of f, after `begin_anew`
--   f                      stream: the feed. Its first entry is no event but the place before the first one.
--   u:<subject>            hash: e (epoch), v (version), and by the names of kinds of sessions the epoch of the latest
--                          cut-off that ended those, where that is not this one. They count while `at` is the epoch: what
--                          a running older version steps ends everything, as does whatever ends all kinds. Kept for ever.
--   s:<session id>         the session, MessagePack. Of one that is no plain login the epoch is negative, so that a
--                          running older version finds it of no epoch that it knows.
--   i:<subject>:<epoch>    sorted set: the plain logins that no cut-off since this one has ended, by when they were made
--   i:<subject>:<epoch>:<kind>  the same of other sessions of this kind
--   d                      set: the sessions and tokens whose ends are in the feed, so that none is told twice
--   c                      hash: of how many tokens of a session there are
--   x                      set: what follows i: in the names of indexes that a cut-off left behind
--
-- KEYS[1] the hash m; ARGV: 1 now, 2 sixteen random bytes in hex, 3 a random number, 4 how many shards there are,
-- 5 the channel that wakes readers; what follows is the operation's own. Times are text, exact to the last bit.

local BASE = string.sub(KEYS[1], 1, -2)
local FEED = BASE .. 'f'
local LEFT_BEHIND = BASE .. 'x'
local DONE = BASE .. 'd'
local COUNTS = BASE .. 'c'
local now = tonumber(ARGV[1])

-- Seconds that a session's rows outlive it. Nothing depends on them: live or not is decided by the deadlines.
local GRACE = 3600
local LONGEST = 1e11

-- The places of a session's fields.
local SUBJECT, EPOCH, CREATED, AUTHENTICATED, SEEN = 1, 2, 4, 5, 6
local IDLE_TIMEOUT, IDLE_DEADLINE, ABSOLUTE_DEADLINE = 7, 8, 9
local GENERATION, ROTATED, VERSION, KIND = 15, 16, 18, 19

local function whole(number)
  return string.format('%.0f', number)
end

local function exact(number)
  return string.format('%.17g', number)
end

local function session_key(id)
  return BASE .. 's:' .. id
end

local function subject_key(subject)
  return BASE .. 'u:' .. subject
end

local function kind_of(session)
  return session[KIND] or 'login'
end

-- The epoch that stands in the row of a session that is of this one.
local function in_row(session, epoch)
  return session[KIND] and -epoch - 1 or epoch
end

-- What follows i: in the name of the index of a subject's sessions; without a kind, of plain logins.
local function index_name(subject, epoch, kind)
  return subject .. ':' .. whole(epoch) .. (kind and ':' .. kind or '')
end

local function index_of(session)
  local epoch = session[EPOCH]
  return BASE .. 'i:' .. index_name(session[SUBJECT], epoch < 0 and -epoch - 1 or epoch, session[KIND])
end

local function milliseconds(seconds)
  return whole(math.max(1, math.min(seconds + GRACE, LONGEST)) * 1000)
end

-- Redis refuses the first write of a script that could take memory when there is none left. Ending a session must
-- work then as well, and takes next to none: let the first write be one that never takes any.
local function whatever_the_memory()
  redis.call('DEL', BASE .. '-')
end

-- The subject's epoch and version, and the epoch of the latest cut-off of its sessions of a kind.
local function standing(subject, kind)
  local found = redis.call('HMGET', subject_key(subject), 'e', 'v', 'at', kind or 'login')
  local epoch = tonumber(found[1] or 0)
  local cut = found[3] and tonumber(found[3]) == epoch and tonumber(found[4]) or epoch
  return epoch, tonumber(found[2] or 0), cut
end

-- The names of the indexes of a subject's sessions of a kind that no cut-off has ended.
local function lanes_of(subject, kind, into)
  local _, _, cut = standing(subject, kind)
  if kind == 'login' then
    into[#into + 1] = index_name(subject, cut)
  end
  into[#into + 1] = index_name(subject, cut, kind)
  return into
end

-- Goes through the indexes of these names together, by when sessions were made: {id, time, index}, one after the other.
-- `step` is 1 from the oldest on and -1 from the newest on, `places` where to begin in each, if not there.
local function walk(names, step, places)
  places = places or {}
  local heads = {}
  local function follows(a, b)
    return (a[2] == b[2] and a[1] > b[1] or a[2] > b[2]) == (step == 1)
  end
  return function()
    local first = nil
    for n, name in ipairs(names) do
      if heads[n] == nil then
        places[n] = places[n] or 0
        local index = BASE .. 'i:' .. name
        local at = places[n]
        local row = step == 1 and redis.call('ZRANGE', index, at, at, 'WITHSCORES')
          or redis.call('ZREVRANGE', index, at, at, 'WITHSCORES')
        heads[n] = row[1] and {row[1], tonumber(row[2]), index} or false
      end
      if heads[n] and (not first or follows(heads[first], heads[n])) then
        first = n
      end
    end
    if not first then
      return nil
    end
    local head = heads[first]
    heads[first], places[first] = nil, places[first] + 1
    return head
  end
end

-- Those made by a clock that was ahead and has been put right have ended: `begin_anew` with a clock says when they were.
local void = nil

local function is_void(session)
  void = void or redis.call('HMGET', KEYS[1], 'void_from', 'void_to')
  return void[1] and session[CREATED] > tonumber(void[1]) and session[CREATED] <= tonumber(void[2])
end

-- Live, given the latest cut-off of its kind.
local function holds(session, cut)
  return session[EPOCH] == in_row(session, cut) and now < session[IDLE_DEADLINE] and now < session[ABSOLUTE_DEADLINE]
    and not is_void(session)
end

local function load(id)
  local packed = redis.call('GET', session_key(id))
  return packed and cmsgpack.unpack(packed) or nil, packed
end

-- The session, its subject's epoch and version, and the row as it is; nil when it is not live.
local function live(id)
  local session, packed = load(id)
  if not session then
    return nil
  end
  local epoch, version, cut = standing(session[SUBJECT], kind_of(session))
  if not holds(session, cut) then
    return nil
  end
  return session, epoch, version, packed
end

local function enlist(id, session)
  local index = index_of(session)
  redis.call('ZADD', index, exact(session[CREATED]), id)
  local wanted = milliseconds(session[ABSOLUTE_DEADLINE] - now)
  if redis.call('PTTL', index) < tonumber(wanted) then
    redis.call('PEXPIRE', index, wanted)
  end
end

-- Lists it too: somebody whose clock was ahead may have taken it for dead and off the list.
local function save(id, session)
  enlist(id, session)
  local packed = cmsgpack.pack(session)
  local left = math.min(session[IDLE_DEADLINE], session[ABSOLUTE_DEADLINE]) - now
  redis.call('SET', session_key(id), packed, 'PX', milliseconds(left))
  return packed
end

local function use(session, seen)
  local deadline = math.min(seen + session[IDLE_TIMEOUT], session[ABSOLUTE_DEADLINE])
  session[SEEN] = math.max(session[SEEN], seen)
  session[IDLE_DEADLINE] = math.max(session[IDLE_DEADLINE], deadline)
end

-- The highest time that was given out. Time does not go back, though the server's clock may.
local function highest()
  return tonumber(redis.call('HGET', KEYS[1], 'clock') or 0)
end

-- Something was issued or pruned at this time. Not for less than a second (CLOCK_STEP in stores/base.py): callers' clocks
-- run on between two reads, and time that stands still would creep with them.
local function issued()
  if highest() + 1 < now then
    redis.call('HSET', KEYS[1], 'clock', ARGV[1])
  end
end

-- An epoch or version after this one, that no other history gives: `next_number` in stores/rules.py.
local function next_number(last)
  return math.max(last, math.floor(now) * 2097152) + 1 + tonumber(string.sub(ARGV[3], -7)) % 1048576
end

local function microseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Makes the feed where there is none: at first, and when all was flushed. It is another one than before.
local function ensure_feed()
  local found = redis.call('HMGET', KEYS[1], 'id', 'n', 'since', 'cut')
  if found[1] and found[2] ~= ARGV[4] then
    error('OTHER-SHARDS ' .. found[2])
  end
  if found[1] and redis.call('EXISTS', FEED) == 1 then
    return found
  end
  local begun = microseconds()
  local clock = exact(highest())
  whatever_the_memory()
  redis.call('DEL', KEYS[1], FEED, DONE, COUNTS)
  redis.call('XADD', FEED, whole(begun) .. '-' .. ARGV[3], 'k', 'b')
  found = {ARGV[2], ARGV[4], exact(math.max(begun / 1000000, tonumber(clock))), ''}
  redis.call('HSET', KEYS[1], 'id', found[1], 'n', found[2], 'since', found[3], 'cut', found[4], 'clock', clock)
  return found
end

-- An entry's id is when it was appended, in microseconds, and a number drawn by lot: positions rise, and two
-- histories of one feed never have the same position at the same place.
local told = {}

local function append(kind, subject, id, token, number)
  local last = redis.call('XREVRANGE', FEED, '+', '-', 'COUNT', 1)[1][1]
  local place = math.max(tonumber(string.match(last, '^%d+')) + 1, microseconds())
  -- Dated no earlier than what was issued before, so that it is kept for as long.
  local at = highest() > now and exact(highest()) or ARGV[1]
  local entry = {'k', kind, 'a', at, 'u', subject, 's', id, 't', token, 'n', whole(number)}
  redis.call('XADD', FEED, whole(place) .. '-' .. ARGV[3], unpack(entry))
  told[#told + 1] = entry
end

-- Wakes readers, and tells them at once what they will read.
local function wake()
  redis.call('PUBLISH', ARGV[5], cmsgpack.pack({redis.call('HGET', KEYS[1], 'id'), told}))
end

-- Whether the feed did not hold this end before: it does from now on, so append it.
local function is_news(id, token)
  return redis.call('SADD', DONE, id .. ' ' .. token) == 1
end

local function finish(id, session)
  is_news(id, '')
  append('r', session[SUBJECT], id, '', 0)
  redis.call('DEL', session_key(id))
  redis.call('ZREM', index_of(session), id)
end

-- Ends the session whatever its deadlines, or says so of one that is not here, which a store that was put back may have
-- forgotten. The row, if there was one.
local function revoke(id)
  local session, packed = load(id)
  if session then
    finish(id, session)
  elseif is_news(id, '') then
    append('r', '', id, '', 0)
  end
  return session, packed
end
