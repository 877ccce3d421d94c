-- A WebSocket proxy that prints every message and lets no binary one pass: one client after the other.
--
--     luajit proxy.lua 127.0.0.1:8080 ws://127.0.0.1:9000

local ffi = require "ffi"
local wsproxy = require "wsproxy"

ffi.cdef "void *signal(int number, void *action);"
ffi.C.signal(2, nil) -- Ctrl-C ends the program at once, in the middle of a session too

local settings = wsproxy.config({
    aggregate_fragments = true, -- the hook sees whole messages
    on_frame = function(_, role, typ, payload, _, code)
        print(("%s from the %s: %d bytes"):format(typ, role, #payload))
        if typ == "binary" then return nil end
        return payload, code
    end,
})

io.stdout:setvbuf("line")
local listener = assert(wsproxy.listen(arg[1] or "127.0.0.1:8080"))
print("listening on " .. listener:address())
while true do
    local client = assert(listener:accept())
    local proxy = assert(wsproxy.new(settings))
    local ok, err = proxy:connect(client, arg[2] or "ws://127.0.0.1:9000")
    client:close()
    if ok then ok, err = proxy:execute() end
    if not ok then io.stderr:write(err, "\n") end
end
