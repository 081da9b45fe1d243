-- ARGV: 6 the subject. Its new version.
local _, version = standing(ARGV[6])
local following = next_number(version)
whatever_the_memory()
ensure_feed()
append('v', ARGV[6], '', '', following)
redis.call('HSET', subject_key(ARGV[6]), 'v', whole(following))
wake()
return following
