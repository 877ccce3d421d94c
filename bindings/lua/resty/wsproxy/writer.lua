-- What goes to one side, by one writer at a time: cosockets allow no more.
--
-- Rules. What the session has for a side is taken out of it as a whole, and written in that order. A direction that
-- finds another light thread at it leaves the bytes to that one; what comes from elsewhere stays in the session until
-- then, whose queues have bounds. A direction waits until its bytes are written, which is what holds its sender back; a
-- close frame, a ping or a frame of the host's that comes from elsewhere is written by a light thread of its own. Those
-- are started by the request's thread alone: a light thread whose parent was killed can neither be waited for nor
-- killed, and nginx would never end the request.

local ffi = require "ffi"
local semaphore = require "ngx.semaphore"
local C = require "wsproxy.library"

local ffi_string = ffi.string
local spawn, wait, kill = ngx.thread.spawn, ngx.thread.wait, ngx.thread.kill
local status = coroutine.status
local concat = table.concat

local _M = {}
local mt = { __index = _M }

local MOST_PARTS = 3
local parts = ffi.new("wsproxy_bytes[?]", MOST_PARTS) -- read before anything can yield

-- `failed(self, err)` is called once, when the connection takes no more; `idle()` when a write is over that kept
-- `push` or the one who called it waiting.
function _M.new(session, side, sock, failed, idle)
    return setmetatable({
        session = session,
        side = side,
        sock = sock,
        failed = failed,
        idle = idle,
        busy = false,
        owed = false, -- a call of `idle`
        waited_for = false,
        queue = {},
        threads = {},
    }, mt)
end

-- What waits for the side, as one string; `nil` if nothing does.
local function take(self)
    local count = C.wsproxy_pull_output(self.session, self.side, parts, MOST_PARTS)
    if count <= 0 then
        return nil
    end
    local data = ffi_string(parts[0].data, parts[0].len)
    for n = 1, count - 1 do
        data = data .. ffi_string(parts[n].data, parts[n].len)
    end
    C.wsproxy_pull_wrote(self.session, self.side, #data)
    return data
end

local function next_queued(self)
    local queue = self.queue
    if queue[1] == nil then
        return nil
    end
    self.queue = {}
    return concat(queue)
end

local function give_up(self, err)
    self.queue = {}
    C.wsproxy_pull_output_failed(self.session, self.side)
    if not self.broken then
        self.broken = true
        self:failed(err)
    end
end

-- Writes `data` and what others leave meanwhile.
local function write(self, data)
    self.busy = true
    repeat
        local sent, err = self.sock:send(data)
        if not sent then
            give_up(self, err)
        end
        data = next_queued(self)
    until not data
    self.busy = false
    if self.waited_for then
        self.waited_for = false
        self.waits:post(1)
    end
    if self.owed then
        self.owed = false
        self.idle()
    end
end

-- Writes `data`, a string or a table of strings that was taken out of the session, and waits until it is written.
function _M:write(data)
    if not self.busy then
        return write(self, data)
    end
    self.queue[#self.queue + 1] = type(data) == "table" and concat(data) or data
    while self.busy do
        self.waits = self.waits or semaphore.new(0)
        self.waited_for = true
        self.waits:wait(60)
    end
end

-- A light thread that has ended is kept until somebody waits for it.
local function bury(self)
    local threads = self.threads
    for n = #threads, 1, -1 do
        if status(threads[n]) ~= "running" and status(threads[n]) ~= "suspended" then
            wait(threads[n])
            table.remove(threads, n)
        end
    end
end

-- Writes what the session has for the side without waiting; by the request's thread.
function _M:push()
    local data
    repeat -- frames of the host's come up when others have been taken
        data = not self.busy and take(self)
        if data then
            bury(self)
            self.threads[#self.threads + 1] = spawn(write, self, data)
        end
    until not data
    self.owed = self.busy
end

-- Gives up what is still being written; by the request's thread.
function _M:close()
    for _, thread in ipairs(self.threads) do
        kill(thread)
    end
    self.threads = {}
end

return _M
