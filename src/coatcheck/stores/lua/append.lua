-- An event that changes nothing else. ARGV: 6 its kind, 7 a session's id, 8 a token's id.
whatever_the_memory()
ensure_feed()
append(ARGV[6], '', ARGV[7], ARGV[8], 0)
wake()
return 1
