-- wrk's part of bench/speed/load.py: goes round the requests of all users, and says what it counted in one line.
-- Its argument is a file with one request's headers a line, or an empty one; requests are put together beforehand.

local prepared, count, position = {}, 0, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local name, value = line:match("^([^:]+): (.*)$")
    count = count + 1
    prepared[count] = wrk.format("GET", nil, {[name] = value})
  end
  if count == 0 then
    count, prepared[1] = 1, wrk.format("GET")
  end
end

function request()
  position = position + 1
  if position > count then position = 1 end
  return prepared[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nCOUNTED {"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
