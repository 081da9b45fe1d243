-- ARGV: 6 the subject. Its new version.
local _, version = standing(ARGV[6])
whatever_the_memory()
ensure_feed()
append('v', ARGV[6], '', '', version + 1)
redis.call('HSET', subject_key(ARGV[6]), 'v', whole(version + 1))
wake()
return version + 1
