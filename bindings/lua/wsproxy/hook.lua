-- The hook of a session in plain LuaJIT: a callback that the library calls on the thread that executes.
--
-- Rules. LuaJIT ends the process when a callback comes on another thread, or out of a call that it has compiled ("bad
-- callback"); and the library ends it when an error goes through its frames. So the policy is WSPROXY_CALLER, the
-- function that executes is never compiled, and everything that can fail runs under pcall. What is left is a debug hook
-- that throws before pcall is reached (debug.sethook, or Ctrl-C as the program `luajit` treats it). There are some
-- hundred places for callbacks: each execute takes one and gives it back.

local ffi = require "ffi"
local jit = require "jit"
local C = require "wsproxy.library"
local sessions = require "wsproxy.session"

local ffi_string, ffi_cast = ffi.string, ffi.cast
local words_of = sessions.words_of
local type, error, tonumber, pcall = type, error, tonumber, pcall
local select, unpack = select, unpack

local CLOSE, ABSENT = tonumber(C.WSPROXY_CLOSE), tonumber(C.WSPROXY_CLOSE_ABSENT)
local FORWARD, DROP, END = tonumber(C.WSPROXY_FORWARD), tonumber(C.WSPROXY_DROP), tonumber(C.WSPROXY_END)
local FAILED = 0 -- no verdict
local ROOM = 1000 -- slots of Lua's stack

local ROLES, TYPES = {}, {}
for name, side in pairs(sessions.SIDES) do
    ROLES[side] = name
end
for name, kind in pairs(sessions.KINDS) do
    TYPES[kind] = name
end

local callback_type = ffi.typeof("wsproxy_on_frame")

local _M = {}

local function must(self, result)
    if result ~= 0 then
        error(ffi_string(C.wsproxy_error(self.session)), 0)
    end
end

-- Puts what the hook made of a frame in its place. A close without a code has no place for a reason.
local function change(self, frame, code, payload, new, new_code)
    local is_close = frame.kind == CLOSE
    if is_close and new_code ~= nil then
        if type(new_code) ~= "number" then
            error("opts.on_frame status code return value must be nil or a number", 0)
        end
        if new_code ~= code then
            must(self, C.wsproxy_frame_set_code(frame, new_code))
            code = new_code
        end
    end
    if new ~= payload and (code or not is_close) then
        must(self, C.wsproxy_frame_set_payload(frame, new, #new))
    end
end

-- Asks the hook about a frame; returns the verdict.
local function judge(self, frame)
    local kind, code = frame.kind, nil
    if kind == CLOSE and frame.code ~= ABSENT then
        code = frame.code
    end
    local payload = ffi_string(frame.payload, frame.payload_len)
    local new, new_code = self.on_frame(self, ROLES[frame.from], TYPES[kind], payload, frame.fin ~= 0, code)
    if self.is_ending then
        return END
    elseif new == nil then
        return DROP
    elseif type(new) ~= "string" then
        error("opts.on_frame return value must be nil or a string", 0)
    end
    if new ~= payload or new_code ~= nil then
        change(self, frame, code, payload, new, new_code)
    end
    return FORWARD
end

-- What the library calls. No error may leave it.
local function watcher(self)
    return function(_, frame)
        self.frame = frame
        local judged, verdict = pcall(judge, self, frame)
        self.frame = nil
        if judged then
            return verdict
        end
        self.hook_error = words_of(verdict)
        return FAILED
    end
end

-- Where a callback can be called: a stack that is all but full would overflow in front of pcall.
local function new_callback(self)
    select("#", unpack(self, 1, ROOM))
    return ffi_cast(callback_type, watcher(self))
end

-- What `execute` takes for the hook of `self`, to be freed by `free()`: nil if there is none; or `nil, err`.
function _M.callback(self)
    if not self.on_frame then
        return nil
    end
    local made, callback = pcall(new_callback, self)
    if not made then
        return nil, words_of(callback)
    end
    return callback
end

-- Relays until the end: the library's result. LuaJIT notices by itself that a C function calls back, but not before it
-- has done so: after some sessions without a frame the call would be compiled, and the next frame end the process.
function _M.execute(session, callback)
    local result = C.wsproxy_execute(session, callback, nil)
    return result
end
jit.off(_M.execute)

return _M
