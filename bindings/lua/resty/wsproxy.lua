-- resty.wsproxy: libwsproxy in OpenResty. nginx has the sockets, TLS, DNS and the clock; the library has the WebSocket.
--
--     local wsproxy = require "resty.wsproxy"
--     local proxy = wsproxy.new({ on_frame = function(proxy, role, typ, payload, last, code) return payload end })
--     local ok, err = proxy:connect("ws://127.0.0.1:9000")
--     if not ok then return ngx.exit(proxy:http_status()) end
--     ok, err = proxy:execute()
--
-- Rules. Nothing blocks: bytes move by cosockets, and the library is only asked (its event-loop face: no threads, no
-- callbacks, no sockets). Wrong use throws at the caller's level; what happens at run time is `nil, err`. One proxy is
-- one session of one request; `send`, `close` and the questions may be called wherever the worker has it at hand.

local ffi = require "ffi"
local C = require "wsproxy.library"
local options = require "wsproxy.options"
local sessions = require "wsproxy.session"
local client = require "resty.wsproxy.client"
local upstream = require "resty.wsproxy.upstream"
local relay = require "resty.wsproxy.relay"

local ffi_string, ffi_gc = ffi.string, ffi.gc
local type, error, setmetatable = type, error, setmetatable

local CONNECT_TIMEOUT, WRITE_TIMEOUT = 10000, 30000 -- ms; the library's own defaults
local FOR_EVER = 2147483647 -- the longest time that a cosocket knows, in ms

local _M = { _VERSION = ffi_string(C.wsproxy_version()) }
local mt = { __index = _M }

local function nothing() end

-- What the drop-in module writes to the log.
local SILENT = {
    closing = nothing,
    timed_out = nothing,
    receive_failed = nothing,
    send_failed = nothing,
    forward_failed = nothing,
    close_failed = nothing,
    hook_failed = nothing,
    ending = nothing,
}

local OWN = { on_frame = "function", recv_timeout = "number", ssl_verify = "boolean" }

local function check(opts)
    for name, value in pairs(opts) do
        local wanted = OWN[name]
        if wanted and type(value) ~= wanted then
            return "opts." .. name .. " must be a " .. wanted
        elseif not wanted and not options.knows(name) then
            return "unknown option opts." .. tostring(name)
        end
    end
    return nil
end

-- A time as a cosocket takes it; `nil` for none, and for none that ends.
local function period(ms)
    if not ms or not (ms > 0) then
        return nil
    end
    return math.min(math.ceil(ms), FOR_EVER)
end

-- A session with these options, of which the caller has made sure that they are sound. For modules of this library.
function _M.create(opts, handle, observer)
    local config, err = options.configuration(opts)
    if not config then
        return nil, err
    end
    C.wsproxy_config_set_write_timeout(config, 0) -- cosockets know how far a write is, the library does not
    local session = C.wsproxy_new(config)
    if session == nil then
        return nil, "no randomness from the operating system"
    end
    local self = setmetatable({
        session = ffi_gc(session, C.wsproxy_free),
        on_frame = opts.on_frame,
        recv_timeout = period(opts.recv_timeout),
        ssl_verify = opts.ssl_verify ~= false,
        connect_timeout = period(opts.connect_timeout or CONNECT_TIMEOUT),
        write_timeout = period(opts.write_timeout or WRITE_TIMEOUT) or FOR_EVER,
        pass_headers = opts.pass_headers ~= false,
        observer = observer or SILENT,
        state = { client = "new", upstream = "new" },
    }, mt)
    self.handle = handle or self
    if opts.forwarded and ngx.var.remote_addr then
        C.wsproxy_pull_set_peer(session, ngx.var.remote_addr, ngx.var.https == "on" and 1 or 0)
    end
    return self
end

-- A session. Options: those of wsproxy.options, and `on_frame`, `recv_timeout`, `ssl_verify` (default: true).
function _M.new(opts)
    if opts == nil then
        opts = {}
    end
    if type(opts) ~= "table" then
        error("opts must be a table", 2)
    end
    local complaint = check(opts)
    if complaint then
        error(complaint, 2)
    end
    local self, err = _M.create(opts)
    if not self then
        error("opts." .. err, 2)
    end
    return self
end

local function already(self, role)
    if self.state[role] == "open" then
        return true
    end
    return nil, self.state[role] == "over" and "the session has ended" or nil
end

-- Connects to the upstream at `uri`: ws://, wss://, ws+unix:/socket[:/path]. `opts` are those of lua-resty-websocket's
-- client: protocols, origin, headers, host, key, pool, pool_size, backlog, ssl_verify, server_name, client_cert,
-- client_priv_key and proxy_opts. `true, nil, head` or `nil, err, head`: the head of the upstream's answer, if it gave
-- one.
function _M:connect_upstream(uri, opts)
    local open, err = already(self, "upstream")
    if open or err then
        return open, err
    end
    if type(uri) ~= "string" or uri:find("%z") then
        return nil, "bad websocket uri"
    end
    opts = opts or {}
    if self.pass_headers and self.state.client == "new" then
        err = client.take_request(self)
        if err then
            return nil, err
        end
    end
    local verify = self.ssl_verify
    if opts.ssl_verify ~= nil then
        verify = opts.ssl_verify
    end
    local ok, head
    ok, err, head = upstream.open(self, uri, opts, verify)
    if ok then
        self.state.upstream = "open"
    end
    return ok, err, head
end

-- Answers the client: `true` or `nil, err`, and then nothing was sent to it.
function _M:connect_client()
    local open, err = already(self, "client")
    if open or err then
        return open, err
    end
    local ok
    ok, err = client.open(self)
    if ok then
        self.state.client = "open"
    end
    return ok, err
end

-- Both: the upstream first. When it fails nothing has been sent to the client, and `http_status` says what to answer.
function _M:connect(uri, opts)
    local ok, err, head = self:connect_upstream(uri, opts)
    if not ok then
        return nil, "failed connecting to upstream: " .. err, head
    end
    ok, err = self:connect_client()
    if not ok then
        return nil, "failed client handshake: " .. err
    end
    return true
end

-- What has crossed, by the side that it came from: frames and bytes by type, dropped, replaced, sent (by `send`),
-- close_received, close_sent (a code or "absent"), closed_first.
function _M:stats()
    return self.final_stats or sessions.stats(self.session)
end

-- The subprotocol that the upstream chose, or nil.
function _M:subprotocol()
    if self.session == nil then
        return self.final_subprotocol
    end
    return sessions.subprotocol(self.session)
end

-- The status to answer a client with whose handshake has failed: that of the upstream's refusal, 502 or 504; or, if the
-- fault is in its request, 400 or 426.
function _M:http_status()
    local status = self.session and C.wsproxy_http_status(self.session) or 0
    if status ~= 0 then
        return status
    end
    return self.refused_with or 502
end

-- The library's memory goes at once: the collector does not know how much it is.
local function let_go(self)
    self.final_stats, self.final_subprotocol = self:stats(), self:subprotocol()
    C.wsproxy_free(ffi_gc(self.session, nil))
    self.session = nil
    self.state = { client = "over", upstream = "over" }
end

-- Relays until the end: `true` after an orderly one (closes, `close`), else `nil, err`.
function _M:execute()
    if self.state.client ~= "open" then
        return nil, "client handshake not complete"
    end
    if self.state.upstream ~= "open" then
        return nil, "upstream connection not established"
    end
    relay.run(self)
    local result, err = C.wsproxy_pull_result(self.session), nil
    if result ~= 0 or self.hook_error then
        err = self.hook_error or ffi_string(C.wsproxy_error(self.session))
    end
    let_go(self)
    if err then
        return nil, err, result
    end
    return true
end

-- Sends a whole message, a ping or a pong of our own to "client" or "upstream": `true` or `nil, err`. Inside the hook
-- it goes before the frame that the hook looks at. Data waits for the end of a message under way.
function _M:send(role, typ, payload)
    local side, kind, complaint = sessions.outgoing(role, typ, payload)
    if complaint then
        error(complaint, 2)
    elseif not self.session then
        return nil, "the session has ended"
    end
    if C.wsproxy_send(self.session, side, kind, payload, #payload) ~= 0 then
        return nil, ffi_string(C.wsproxy_error(self.session))
    end
    if self.waker then
        relay.wake(self)
    end
    return true
end

-- Ends the session: both sides get a close frame, the upstream another one if it is given. A frame that the hook is
-- looking at is not sent on. `true` or `nil, err`.
function _M:close(code, reason, upstream_code, upstream_reason)
    if not self.session then
        return nil, "the session has ended"
    end
    code, reason = code or 1000, reason or ""
    if upstream_code == nil then
        upstream_code, upstream_reason = code, upstream_reason or reason
    end
    upstream_reason = upstream_reason or ""
    local ended = C.wsproxy_pull_end(
        self.session, code, reason, #reason, upstream_code, upstream_reason, #upstream_reason)
    if ended ~= 0 then
        return nil, ffi_string(C.wsproxy_error(self.session))
    end
    if self.waker then
        relay.wake(self)
    end
    return true
end

return _M
