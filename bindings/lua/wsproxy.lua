-- wsproxy: libwsproxy for plain LuaJIT. The library has sockets, TLS and the clock; the hook runs on this thread.
--
--     local wsproxy = require "wsproxy"
--     local listener = assert(wsproxy.listen("127.0.0.1:8080"))
--     local client = assert(listener:accept())
--     local proxy = wsproxy.new({ on_frame = function(proxy, role, typ, payload, last, code) return payload end })
--     local ok, err = proxy:connect(client, "ws://127.0.0.1:9000")
--     if ok then ok, err = proxy:execute() end
--
-- Rules. `connect` and `execute` block, so a process has one session at a time, but for those that a hook begins. Wrong
-- use throws at the caller's level; what happens at run time is `nil, err`.

local ffi = require "ffi"
local C = require "wsproxy.library"
local options = require "wsproxy.options"
local sessions = require "wsproxy.session"
local listener = require "wsproxy.listener"
local hook = require "wsproxy.hook"

local ffi_string, ffi_gc = ffi.string, ffi.gc
local type, error, tonumber, tostring, pcall, setmetatable = type, error, tonumber, tostring, pcall, setmetatable

local CALLER = tonumber(C.WSPROXY_CALLER)
local CLIENT, UPSTREAM = tonumber(C.WSPROXY_CLIENT), tonumber(C.WSPROXY_UPSTREAM)
local ERR_ARGUMENT, ERR_STATE = tonumber(C.WSPROXY_ERR_ARGUMENT), tonumber(C.WSPROXY_ERR_STATE)
local ERR_STOPPED, ERR_HOOK = tonumber(C.WSPROXY_ERR_STOPPED), tonumber(C.WSPROXY_ERR_HOOK)

local ENDED = "the session has ended"

local _M = { _VERSION = ffi_string(C.wsproxy_version()) }
local mt = { __index = _M }
local config_mt = {}

local function check(opts)
    if type(opts) ~= "table" then
        return "opts must be a table"
    end
    for name, value in pairs(opts) do
        if name == "on_frame" then
            if type(value) ~= "function" then
                return "opts.on_frame must be a function"
            end
        elseif not options.knows(name) and not options.knows_of_sockets(name) then
            return "unknown option opts." .. tostring(name)
        end
    end
    return nil
end

local function configured(opts)
    local complaint = check(opts)
    if complaint then
        return nil, complaint
    end
    local config, err = options.configuration(opts)
    if not config then
        return nil, "opts." .. err
    end
    C.wsproxy_config_set_policy(config, CALLER)
    return setmetatable({ config = config, on_frame = opts.on_frame }, config_mt)
end

-- Options, read once and good for any number of sessions: files are read and TLS is prepared now.
function _M.config(opts)
    local settings, complaint = configured(opts == nil and {} or opts)
    if not settings then
        error(complaint, 2)
    end
    return settings
end

-- A session. `opts` are `on_frame` and the options of wsproxy.options, or what `config` has made of them.
function _M.new(opts)
    local settings, complaint = opts, nil
    if getmetatable(opts) ~= config_mt then
        settings, complaint = configured(opts == nil and {} or opts)
    end
    if not settings then
        error(complaint, 2)
    end
    local session = C.wsproxy_new(settings.config)
    if session == nil then
        return nil, "no randomness from the operating system"
    end
    return setmetatable({
        session = ffi_gc(session, C.wsproxy_free),
        on_frame = settings.on_frame,
        state = { client = "new", upstream = "new" },
    }, mt)
end

-- Listens on "HOST:PORT" or "unix:/path": a listener (`accept`, `address`, `close`), or `nil, err`.
function _M.listen(address)
    if type(address) ~= "string" then
        error("address must be a string", 2)
    end
    return listener.new(address)
end

-- The library's memory goes at once: the collector does not know how much it is.
local function let_go(self)
    self.final_stats, self.final_subprotocol = self:stats(), self:subprotocol()
    self.final_status = self:http_status()
    C.wsproxy_free(ffi_gc(self.session, nil))
    self.session = nil
    self.state = { client = "over", upstream = "over" }
end

-- `true`, or `nil, err, result`; after a result that leaves nothing to be done the session is over.
local function outcome(self, result, may_try_again)
    if result == 0 then
        return true
    end
    local err = ffi_string(C.wsproxy_error(self.session))
    if not (may_try_again or result == ERR_ARGUMENT or result == ERR_STATE) then
        let_go(self)
    end
    return nil, err, result
end

-- The descriptor of a client: a number, or something with a method `getfd`, as sockets of LuaSocket's and ours have.
local function descriptor(client)
    if type(client) == "table" or type(client) == "userdata" then
        local has_it, fd = pcall(function() return client:getfd() end)
        client = has_it and fd
    end
    return type(client) == "number" and client or nil
end

-- What is wrong with the arguments, if anything.
local function complaint_about(fd, uri, head)
    if not fd then
        return "client must be a file descriptor or a socket with a method getfd"
    elseif type(uri) ~= "string" then
        return "uri must be a string"
    elseif head ~= nil and type(head) ~= "string" then
        return "head must be a string"
    end
    return nil
end

local function connect_upstream(self, uri)
    if self.state.upstream == "open" then
        return true
    elseif not self.session then
        return nil, ENDED
    elseif uri:find("%z") then
        return nil, "host: bad URL: NUL cannot stand in it", ERR_ARGUMENT
    end
    local result = C.wsproxy_connect_upstream(self.session, uri)
    if result == 0 then
        self.state.upstream = "open"
    end
    return outcome(self, result, result ~= ERR_STOPPED)
end

local function give_head(self, head)
    return outcome(self, head and C.wsproxy_set_client_head(self.session, head, #head) or 0, true)
end

local function connect_client(self, fd, head)
    if self.state.client == "open" then
        return true
    elseif not self.session then
        return nil, ENDED
    end
    local ok, err, result = give_head(self, head)
    if not ok then
        return nil, err, result
    end
    result = C.wsproxy_connect_client(self.session, fd)
    if result == 0 then
        self.state.client = "open"
    end
    return outcome(self, result)
end

local function connect_both(self, fd, uri, head)
    if uri:find("%z") then
        return nil, "host: bad URL: NUL cannot stand in it", ERR_ARGUMENT
    end
    local ok, err, result = give_head(self, head)
    if not ok then
        return nil, err, result
    end
    result = C.wsproxy_connect(self.session, fd, uri)
    if result == 0 then
        self.state = { client = "open", upstream = "open" }
    end
    return outcome(self, result)
end

-- Connects to the upstream at `uri`: ws://, wss://, ws+unix:/socket[:/path]. `true`, or `nil, err, result`, after which
-- it may be tried again; the client was told nothing.
function _M:connect_upstream(uri)
    if type(uri) ~= "string" then
        error("uri must be a string", 2)
    end
    return connect_upstream(self, uri)
end

-- Reads and answers the request of `client`, of which `head` was read before. `true`, or `nil, err, result`.
function _M:connect_client(client, head)
    local fd = descriptor(client)
    local complaint = complaint_about(fd, "", head)
    if complaint then
        error(complaint, 2)
    end
    return connect_client(self, fd, head)
end

-- Both: the client is answered when the upstream is connected, or with its refusal, 502 or 504. The host closes
-- `client` itself, whatever comes of it.
function _M:connect(client, uri, head)
    local fd = descriptor(client)
    local complaint = complaint_about(fd, uri, head)
    if complaint then
        error(complaint, 2)
    end
    if not self.session then
        return nil, ENDED
    elseif self.state.client == "new" and self.state.upstream == "new" then
        return connect_both(self, fd, uri, head)
    end
    local ok, err, result = connect_upstream(self, uri)
    if not ok then
        return nil, err, result
    end
    return connect_client(self, fd, head)
end

-- Relays until the end: `true` after an orderly one (closes, `close`, `drain`), else `nil, err, result`. A failed hook
-- ends it with 1011 for both sides.
function _M:execute()
    if self.state.client ~= "open" then
        return nil, "client handshake not complete"
    end
    if self.state.upstream ~= "open" then
        return nil, "upstream connection not established"
    end
    local callback, err = hook.callback(self)
    if err then
        let_go(self)
        return nil, err, ERR_HOOK
    end
    self.state = { client = "running", upstream = "running" }
    local result = hook.execute(self.session, callback)
    if callback then
        callback:free()
    end
    err = self.hook_error or result ~= 0 and ffi_string(C.wsproxy_error(self.session))
    let_go(self)
    if err then
        return nil, err, result
    end
    return true
end

-- Sends a whole message, a ping or a pong of our own to "client" or "upstream". Inside the hook it goes before the
-- frame that the hook looks at. Data waits for the end of a message under way. `true` or `nil, err`.
function _M:send(role, typ, payload)
    local side, kind, complaint = sessions.outgoing(role, typ, payload)
    if complaint then
        error(complaint, 2)
    elseif not self.session then
        return nil, ENDED
    end
    return outcome(self, C.wsproxy_send(self.session, side, kind, payload, #payload), true)
end

local function complaint_about_close(code, reason)
    if code ~= nil and type(code) ~= "number" then
        return "code must be a number"
    elseif reason ~= nil and type(reason) ~= "string" then
        return "reason must be a string"
    end
    return nil
end

-- Out of its own hook: the frame that this looks at is not sent on.
local function end_by_verdict(self, code, reason, upstream_code, upstream_reason)
    local frame = self.frame
    local result = C.wsproxy_frame_set_end(frame, CLIENT, code, reason, #reason)
    if result == 0 then
        result = C.wsproxy_frame_set_end(frame, UPSTREAM, upstream_code, upstream_reason, #upstream_reason)
    end
    self.is_ending = self.is_ending or result == 0
    return outcome(self, result, true)
end

-- Ends the session: both sides get a close frame with `code` (1000) and `reason` (""), the upstream another one if
-- given, which its own hook alone can do. Before `connect` it gives the handshakes up. `true` or `nil, err`.
function _M:close(code, reason, upstream_code, upstream_reason)
    local complaint = complaint_about_close(code, reason) or complaint_about_close(upstream_code, upstream_reason)
    if complaint then
        error(complaint, 2)
    elseif not self.session then
        return nil, ENDED
    end
    code, reason = code or 1000, reason or ""
    if self.frame then
        if upstream_code == nil then
            upstream_code, upstream_reason = code, upstream_reason or reason
        end
        return end_by_verdict(self, code, reason, upstream_code, upstream_reason or "")
    elseif upstream_code or upstream_reason then
        return nil, "only inside on_frame the upstream can have a close frame of its own"
    end
    return outcome(self, C.wsproxy_stop(self.session, code, reason, #reason), true)
end

-- The same between messages, so that none is cut off; `code` is 1001 by default. `true` or `nil, err`.
function _M:drain(code, reason)
    local complaint = complaint_about_close(code, reason)
    if complaint then
        error(complaint, 2)
    elseif not self.session then
        return nil, ENDED
    end
    reason = reason or ""
    return outcome(self, C.wsproxy_drain(self.session, code or 1001, reason, #reason), true)
end

-- Ends the session without waiting for anybody.
function _M:abort()
    if not self.session then
        return nil, ENDED
    end
    return outcome(self, C.wsproxy_abort(self.session), true)
end

-- What has crossed, by the side that it came from: frames and bytes by type, dropped, replaced, sent (by `send`),
-- close_received, close_sent (a code or "absent"), closed_first.
function _M:stats()
    return self.final_stats or sessions.stats(self.session)
end

-- The subprotocol that the upstream chose, or nil.
function _M:subprotocol()
    if self.session then
        return sessions.subprotocol(self.session)
    end
    return self.final_subprotocol
end

-- The HTTP status of a handshake that failed: what the client was, or was to be, answered; nil if there was none.
function _M:http_status()
    if not self.session then
        return self.final_status
    end
    local status = C.wsproxy_http_status(self.session)
    return status ~= 0 and status or nil
end

return _M
