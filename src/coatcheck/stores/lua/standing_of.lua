-- ARGV: 6 the subject. Its epoch and version.
local epoch, version = standing(ARGV[6])
return {epoch, version}
