-- Posts the bodies of a file in turn: BODIES holds, for each, a length line and the bytes.
local file = assert(io.open(os.getenv("BODIES"), "rb"))
local requests = {}
while true do
  local length = file:read("*l")
  if not length then break end
  local headers = { Host = "127.0.0.1", ["Content-Type"] = os.getenv("BODY_TYPE") }
  local key = os.getenv("BODY_KEY")
  if key then headers["Authorization"] = "Bearer " .. key end
  requests[#requests + 1] = wrk.format("POST", os.getenv("BODY_PATH"), headers, file:read(tonumber(length)))
end
file:close()

local at = math.random(#requests)
function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "bad": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
