-- An established session: two light threads move bytes and ask the hook, the request's own thread keeps the time.
--
-- Theory. A direction reads from one cosocket, gives the library what came, asks the hook about each frame, and writes
-- what is left of them to the other cosocket. Whether it may read on, what a verdict comes to, and when something is
-- late, the library says. The hook runs in its direction's light thread and may yield: that direction waits, the other
-- goes on. The request's thread sleeps until the library's next deadline or until somebody posts `wake`.

local ffi = require "ffi"
local semaphore = require "ngx.semaphore"
local C = require "wsproxy.library"
local now = require "resty.wsproxy.clock"
local writer = require "resty.wsproxy.writer"
local words_of = require("wsproxy.session").words_of

local ffi_string, ffi_cast = ffi.string, ffi.cast
local spawn, kill = ngx.thread.spawn, ngx.thread.kill
local tonumber, type, pcall = tonumber, type, pcall
local max, min = math.max, math.min

local CLIENT, UPSTREAM = tonumber(C.WSPROXY_CLIENT), tonumber(C.WSPROXY_UPSTREAM)
local CLOSE, ABSENT = tonumber(C.WSPROXY_CLOSE), tonumber(C.WSPROXY_CLOSE_ABSENT)
local FORWARD, DROP = tonumber(C.WSPROXY_FORWARD), tonumber(C.WSPROXY_DROP)

local FAULT_CLIENT = tonumber(C.WSPROXY_FAULT_CLIENT)

local ROLES = { [CLIENT] = "client", [UPSTREAM] = "upstream" }
local TYPES = {}
for kind = 0, 15 do
    TYPES[kind] = ffi_string(C.wsproxy_kind_name(kind))
end

local LARGE = 16384
local READ_SIZE = 65536 -- at most: lua_socket_buffer_size says how much one read brings
local state = ffi.new("wsproxy_turn") -- read before anything can yield
local bytes = ffi.typeof("const uint8_t *")
local STATE_SIZE = ffi.sizeof("wsproxy_turn")
local FOR_EVER = 2147483647 -- the longest time that a cosocket knows, in ms
local LONG = 3600 -- s; longer than that nobody sleeps in one piece

-- An upstream that has answered the close frame closes the connection itself (RFC 6455 7.1.1). nginx cannot close the
-- client's connection alone, so no more than this is waited for that: ms.
local GRACE = 50

local FAILED = "the hook failed" -- where its words are no UTF-8

local _M = {}

local function wake(self)
    if not self.woken then
        self.woken = true
        self.waker:post(1)
    end
end
_M.wake = wake

local function refused(self, from, kind)
    local err = ffi_string(C.wsproxy_error(self.session))
    if kind == CLOSE then
        self.observer.close_failed(ROLES[3 - from], err)
    else
        self.observer.forward_failed(ROLES[from], err)
    end
    error(err, 0)
end

-- Puts what the hook made of a frame in its place. A close without a code has no place for a reason.
local function change(self, from, kind, code, payload, new, new_code)
    local p = self.session
    if kind == CLOSE and new_code ~= nil then
        if type(new_code) ~= "number" then
            error("opts.on_frame status code return value must be nil or a number", 0)
        end
        if new_code ~= code and C.wsproxy_pull_set_code(p, from, new_code) ~= 0 then
            refused(self, from, kind)
        end
        code = new_code
    end
    if new ~= payload and (kind ~= CLOSE or code) then
        if C.wsproxy_pull_set_payload(p, from, new, #new) ~= 0 then
            refused(self, from, kind)
        end
    end
    return code
end

-- Asks the hook about a frame; returns the next one.
local function decide(self, from, frame)
    local kind, code = frame.kind, nil
    if kind == CLOSE and frame.code ~= ABSENT then
        code = frame.code
    end
    local payload = ffi_string(frame.payload, frame.payload_len)
    local new, new_code = self.on_frame(self.handle, ROLES[from], TYPES[kind], payload, frame.fin ~= 0, code)
    if not self.session then
        return nil -- a thread with a subrequest under way outlives its session: it cannot be killed
    elseif new == nil then
        return C.wsproxy_pull_verdict(self.session, from, DROP)
    elseif type(new) ~= "string" then
        error("opts.on_frame return value must be nil or a string", 0)
    end
    if new ~= payload or new_code ~= nil then
        code = change(self, from, kind, code, payload, new, new_code)
    elseif #payload >= LARGE and from == UPSTREAM then
        self.kept, self.place = payload, frame.payload
    end
    if kind == CLOSE then
        self.observer.closing(ROLES[from], code, new)
    end
    return C.wsproxy_pull_verdict(self.session, from, FORWARD)
end

-- Without a hook: frames pass unseen, but for close frames.
local function pass(self, from, frame)
    if frame.kind == CLOSE then
        local code
        if frame.code ~= ABSENT then
            code = frame.code
        end
        self.observer.closing(ROLES[from], code, ffi_string(frame.payload, frame.payload_len))
    end
    return C.wsproxy_pull_verdict(self.session, from, FORWARD)
end

-- What the library wants written, for `send`. Towards the client a payload is sent as it came: where a large one that
-- the hook left alone is the end of what lies ready, the string that we have of it need not be made again.
local function output(self, from)
    local kept, length = self.kept, tonumber(state.len)
    if kept and from == UPSTREAM then
        self.kept = nil
        local before = length - #kept
        if before > 0 and ffi_cast(bytes, state.data) + before == self.place then
            return { ffi_string(state.data, before), kept }
        end
    end
    return ffi_string(state.data, length)
end

local function each_more(self, from, frame, each)
    repeat
        frame = each(self, from, frame)
    until frame == nil
end

-- One turn: `frame` is the first that waits. Returns what is to be written to the other side, and whether more can be
-- done when that is written, whether to read on, and whether the request's thread is to look. Nothing in it yields but
-- the hook, so that LuaJIT compiles it whole; the loop stands apart, for a loop that is mostly left at once is never
-- compiled, nor what is around it.
local function turn(self, from, frame)
    if frame ~= nil then
        local each = self.each
        self.due[from] = nil
        if from == UPSTREAM then
            self.kept = nil -- of a frame that went nowhere: other bytes may lie in its place now
        end
        frame = each(self, from, frame)
        if frame ~= nil then
            each_more(self, from, frame, each)
        end
    end
    if C.wsproxy_pull_turn(self.session, from, state, STATE_SIZE) ~= 0 then
        return nil, false, false, false -- the session is gone, and `state` is of another one
    end
    local out
    if state.len ~= 0 then
        out = output(self, from)
    end
    return out, state.more ~= 0, state.wants_input ~= 0, state.closing ~= 0 or state.back ~= 0 or self.dozes
end

-- How long to wait for bytes: with `recv_timeout` until that has passed since the last frame.
local function arm(self, from, sock)
    local time = now()
    local due = self.due[from] or time + self.recv_timeout
    self.due[from] = due
    local left = max(1, min(self.recv_timeout, due - time))
    if left ~= self.armed[from] then
        self.armed[from] = left
        sock:settimeouts(FOR_EVER, self.write_timeout, left)
    end
end

-- Nothing came: it is too late, or there will be no more.
local function nothing_came(self, from, err)
    local p = self.session
    C.wsproxy_pull_tick(p, now())
    if err == "timeout" then
        self.due[from] = nil
        self.observer.timed_out(ROLES[from])
    else
        self.observer.receive_failed(ROLES[from], err)
        local how = err == "closed" and "closed the connection" or "lost (" .. err .. ")"
        C.wsproxy_pull_input_ended(p, from, how, #how)
    end
    return C.wsproxy_pull_frame(p, from)
end

-- Gives the library what came; returns the first frame that waits.
local function take_in(self, from, data)
    return C.wsproxy_pull_read(self.session, from, data, #data, now())
end

-- Says once why the session ends, if a peer is at fault or something is late.
local function tell(self)
    if self.told then
        return
    end
    local result = C.wsproxy_pull_result(self.session)
    if result ~= 0 then
        self.told = true
        local at_fault = C.wsproxy_error_fault(self.session)
        local role = at_fault == FAULT_CLIENT and "client" or "upstream"
        self.observer.ending(result, role, ffi_string(C.wsproxy_error(self.session)))
    end
end

local function move(self, from, sock)
    local to = self.writers[3 - from]
    local receiving = self.observer.receiving
    local frame = C.wsproxy_pull_frame(self.session, from)
    while true do
        local out, more, reads_on, news = turn(self, from, frame)
        if out then
            to:write(out)
        end
        if news then
            tell(self)
            wake(self)
        end
        if more then
            frame = C.wsproxy_pull_frame(self.session, from)
        elseif not reads_on then
            return
        else
            if self.recv_timeout then
                arm(self, from, sock)
            end
            if receiving then
                receiving(ROLES[from])
            end
            self.reading[from] = true
            local data, err = sock:receiveany(READ_SIZE)
            self.reading[from] = false
            frame = data and take_in(self, from, data) or nothing_came(self, from, err)
        end
    end
end

local function fail(self, from, err)
    if not self.hook_error then
        self.hook_error = err
        self.observer.hook_failed(err)
    end
    local p = self.session
    if C.wsproxy_pull_fail(p, from, err, #err) ~= 0 and C.wsproxy_pull_fail(p, from, FAILED, #FAILED) ~= 0 then
        C.wsproxy_pull_end(p, 1011, nil, 0, 1011, nil, 0) -- no frame waited: the fault is ours
    end
    wake(self)
end

-- One direction. An error is the hook's: both sides get 1011, and what still comes is read for the close frame in it.
local function direction(self, from, sock)
    local ok, err = pcall(move, self, from, sock)
    if not ok then
        fail(self, from, words_of(err))
        ok, err = pcall(move, self, from, sock)
        if not ok then
            fail(self, from, words_of(err))
        end
    end
    wake(self)
end

-- Whether nothing that still comes from `side` matters: both close frames have passed, or it cannot be understood.
local function is_done(self, side)
    local p = self.session
    return not self.writers[side].busy
        and (C.wsproxy_pull_is_closed(p, side) == 1 or C.wsproxy_pull_wants_fin(p, side) == 1)
end

-- Whether only the end of a stream is missing, for which there is no time left.
local function is_finished(self)
    if C.wsproxy_pull_is_over(self.session) == 1 then
        return true
    end
    if not is_done(self, CLIENT) or not is_done(self, UPSTREAM) then
        self.finished = nil
        return false
    end
    self.finished = self.finished or now() + GRACE
    return now() >= self.finished
end

-- Before the deadline that was known when we fell asleep only that of the closing handshake can come, and that of
-- buffers, which does not exist while nothing comes: who sleeps for longer is woken by what comes.
local function next_look(self)
    local deadline = tonumber(C.wsproxy_pull_deadline(self.session))
    return min(deadline < 0 and math.huge or deadline, self.finished or math.huge, self.parting or math.huge)
end

-- An upstream that cannot be understood is not waited for, once it was told so and had a moment to read that: what it
-- has sent meanwhile is read, for a connection that is closed with unread bytes is reset.
local function let_upstream_go(self, thread)
    local idle = self.reading[UPSTREAM] and not self.writers[UPSTREAM].busy
    if not idle or C.wsproxy_pull_wants_fin(self.session, UPSTREAM) == 0 then
        self.parting = nil -- it may have gone itself
        return
    end
    self.parting = self.parting or now() + GRACE
    if now() < self.parting then
        return
    end
    self.parting = nil
    kill(thread) -- it only reads, and a connection that is read cannot be closed
    self.reading[UPSTREAM] = false
    self.upstream:close()
    local how = "was closed"
    C.wsproxy_pull_input_ended(self.session, UPSTREAM, how, #how)
end

-- Keeps the time until the session is over.
local function supervise(self, threads)
    while not is_finished(self) do
        local seconds = (next_look(self) - now()) / 1000
        self.dozes = seconds > 1
        self.waker:wait(max(0.001, min(seconds, LONG)))
        self.dozes = false
        self.woken = false -- what follows may wake us again
        C.wsproxy_pull_tick(self.session, now())
        self.writers[CLIENT]:push()
        self.writers[UPSTREAM]:push()
        let_upstream_go(self, threads[UPSTREAM])
        tell(self)
    end
end

local function writer_for(self, side, sock)
    return writer.new(self.session, side, sock, function(_, err)
        self.observer.send_failed(ROLES[side], err)
        if err == "timeout" then
            local how = "took no bytes in time" -- nothing that it still sends is worth waiting for
            C.wsproxy_pull_input_ended(self.session, side, how, #how)
        end
        wake(self)
    end, function()
        wake(self)
    end)
end

-- Relays to the end. The session is then over, or both sides have closed.
function _M.run(self)
    local socks = { [CLIENT] = self.client, [UPSTREAM] = self.upstream }
    self.waker = semaphore.new(0)
    self.each = self.on_frame and decide or pass
    self.due, self.armed, self.reading, self.writers = {}, {}, {}, {}
    for side, sock in pairs(socks) do
        sock:settimeouts(FOR_EVER, self.write_timeout, FOR_EVER)
        self.writers[side] = writer_for(self, side, sock)
    end
    local threads = {}
    for side = CLIENT, UPSTREAM do
        threads[side] = spawn(direction, self, side, socks[side])
    end
    supervise(self, threads)
    for side, thread in pairs(threads) do
        kill(thread)
        self.writers[side]:close()
    end
    self.upstream:close()
end

return _M
