-- The time for everything with a deadline, in milliseconds: nginx's own clock, which runs its timers.
--
-- Rules. It is as old as the turn of nginx's loop, costs no system call and never goes back: `ngx.now` follows the
-- machine's time of day, and a step of that would strike all deadlines at once, or none for as long.

local ffi = require "ffi"

local tonumber, ngx_now = tonumber, ngx.now
local nginx = ffi.C

local has_it = pcall(ffi.cdef, "extern volatile uintptr_t ngx_current_msec;")
has_it = has_it and pcall(function() return nginx.ngx_current_msec end)

local function monotonic()
    return tonumber(nginx.ngx_current_msec)
end

-- Where nginx exports nothing.
local function time_of_day()
    return math.floor(ngx_now() * 1000 + 0.5)
end

return has_it and monotonic or time_of_day
