-- resty.websocket.proxy: a drop-in for the module of that name, on libwsproxy.
--
-- Rules. Names, arguments, results, words of errors and lines of the log are those of the module that it replaces; the
-- work is that of resty.wsproxy. Options that the old module did not have are those of resty.wsproxy, and
-- `on_frame_without_proxy` for callbacks written for its version 0.0.1. Certificates are checked where the caller asks
-- for it (`ssl_verify`), as before; that they are not is said once per worker.

local wsproxy = require "resty.wsproxy"
local lines = require "resty.websocket.proxy_log"
local C = require "wsproxy.library"

local type, error, tonumber, setmetatable, log = type, error, tonumber, setmetatable, ngx.log

local ERR_LIMIT, ERR_GONE = tonumber(C.WSPROXY_ERR_LIMIT), tonumber(C.WSPROXY_ERR_GONE)

-- nginx's own timeouts (lua_socket_connect_timeout and the like) count in a handshake; this is for all of it, in ms.
local HANDSHAKE_TIMEOUT = 60000

local LIMITS = {
    "client_max_frame_size",
    "client_max_fragments",
    "upstream_max_frame_size",
    "upstream_max_fragments",
}

-- Beyond those of the old module.
local PASSED_ON = {
    "client_max_message_size",
    "upstream_max_message_size",
    "idle_timeout",
    "write_timeout",
    "close_timeout",
    "keepalive_interval",
    "send_queue",
    "check_utf8",
}

local _M = { _VERSION = wsproxy._VERSION }
local mt = { __index = _M }

local has_warned = false

local function check(opts)
    if type(opts) ~= "table" then
        return "opts must be a table"
    end
    if opts.on_frame ~= nil and type(opts.on_frame) ~= "function" then
        return "opts.on_frame must be a function"
    end
    for _, name in ipairs({ "recv_timeout", "connect_timeout" }) do
        if opts[name] ~= nil and type(opts[name]) ~= "number" then
            return "opts." .. name .. " must be a number"
        end
    end
    for _, name in ipairs(LIMITS) do
        local value = opts[name]
        if value ~= nil and not (type(value) == "number" and value >= 1) then
            return "opts." .. name .. " must be a number >= 1"
        end
    end
    return nil
end

-- The options of resty.wsproxy that come to the same. A limit on frames is one on messages where those are joined, by
-- the library or, under `debug`, by resty.websocket.joining.
local function translated(opts)
    local new = {
        recv_timeout = opts.recv_timeout,
        connect_timeout = opts.connect_timeout or HANDSHAKE_TIMEOUT,
        aggregate_fragments = opts.aggregate_fragments and not opts.debug or false,
        pass_headers = false,
        explain_limits = true,
    }
    for _, name in ipairs(PASSED_ON) do
        new[name] = opts[name]
    end
    for _, name in ipairs(LIMITS) do
        local value = opts[name]
        new[name] = value and math.min(value, 2 ^ 53 - 1)
        if opts.aggregate_fragments and name:find("frame_size", 1, true) then
            local message = name:gsub("frame_size", "message_size")
            new[message] = new[message] or new[name]
        end
    end
    return new
end

local function callback(self, opts)
    local on_frame = opts.on_frame
    if on_frame and opts.on_frame_without_proxy then
        local with_proxy = on_frame
        on_frame = function(_, ...)
            return with_proxy(...)
        end
    end
    return lines.watched(self, on_frame)
end

-- A proxy, `nil, err` if the library has none; throws if `opts` is wrong.
function _M.new(opts)
    if opts == nil then
        opts = {}
    end
    local complaint = check(opts)
    if complaint then
        error(complaint, 2)
    end
    local self = setmetatable({
        debug = opts.debug,
        aggregate_fragments = opts.aggregate_fragments,
        connect_timeout = opts.connect_timeout,
    }, mt)
    local new = translated(opts)
    new.on_frame = callback(self, opts)
    local session, err = wsproxy.create(new, self, lines.observer(self))
    if not session then
        return nil, "failed to create client: " .. err
    end
    if not opts.connect_timeout then
        session.connect_timeout = nil -- nginx's own
    end
    self.session = session
    return self
end

-- The library's way to write the two forms of URL that differ: a Unix socket, and a path that is left out.
local function library_uri(uri)
    local path, target = uri:match("^ws://unix:([^:]+):?(.*)$")
    if path then
        return "ws+unix:" .. path .. ":" .. (target == "" and "/" or target)
    elseif uri:find("^wss?://[^/?#]+$") then
        return uri .. "/"
    end
    return uri
end

-- Without subprotocols of the caller's own the upstream is offered those of the client, from which it is to choose.
local function with_protocols(opts)
    if opts.protocols ~= nil then
        return opts
    end
    local offered = ngx.req.get_headers(0)["sec-websocket-protocol"]
    if not offered or ngx.headers_sent then
        return opts
    end
    return setmetatable({ protocols = offered }, { __index = opts })
end

local function warn_unverified(uri, opts)
    if not has_warned and not opts.ssl_verify and uri:find("^wss:") then
        has_warned = true
        log(ngx.WARN, "certificates of wss:// upstreams are not verified: set ssl_verify")
    end
end

-- `true, nil, head` with the head of the upstream's answer; `nil, err`, and its head if it was a refusal.
function _M:connect_upstream(uri, opts)
    if self.session.state.upstream == "open" then
        log(ngx.WARN, ("connection with upstream at %q already established"):format(self.upstream_uri))
        return true
    end
    if type(uri) ~= "string" then
        return nil, "bad websocket uri"
    end
    opts = opts or {}
    if (opts.client_cert == nil) ~= (opts.client_priv_key == nil) then
        error("client_priv_key must be provided with client_cert", 2)
    end
    lines.debug(self, "connecting to \"", uri, "\" upstream")
    warn_unverified(uri, opts)
    opts = setmetatable({ ssl_verify = opts.ssl_verify or false }, { __index = with_protocols(opts) })
    local ok, err, head = self.session:connect_upstream(library_uri(uri), opts)
    if not ok then
        return nil, err, head
    end
    lines.debug(self, "connected to \"", uri, "\" upstream")
    self.upstream_uri = uri
    return true, nil, head
end

-- `true` or `nil, err`.
function _M:connect_client()
    if self.session.state.client == "open" then
        log(ngx.WARN, "client handshake already completed")
        return true
    end
    lines.debug(self, "completing client handshake")
    local ok, err = self.session:connect_client()
    if not ok then
        return nil, err
    end
    lines.debug(self, "completed client handshake")
    return true
end

-- Upstream, then client. `true` or `nil, err`.
function _M:connect(uri, opts)
    local ok, err = self:connect_upstream(uri, opts)
    if not ok then
        return nil, "failed connecting to upstream: " .. err
    end
    ok, err = self:connect_client()
    if not ok then
        return nil, "failed client handshake: " .. err
    end
    return true
end

-- `true` after closes, a plain end of a stream, and a limit; else `nil, err`.
function _M:execute()
    local ok, err, result = self.session:execute()
    if ok or result == ERR_LIMIT or (result == ERR_GONE and not self.broken) then
        return true
    end
    return nil, self.broken or err
end

-- Ends the session with a close frame for each side.
function _M:close(client_status, client_reason, upstream_status, upstream_reason)
    return self.session:close(client_status, client_reason, upstream_status, upstream_reason)
end

return _M
