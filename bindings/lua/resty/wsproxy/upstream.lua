-- The upstream's half of the handshakes: dial it by cosocket, speak TLS, ask for the upgrade.
--
-- Rules. The library names host and port, so that there is one parser of URLs, and judges the answer; nginx resolves,
-- connects, and checks certificates. A failure leaves nothing behind and may be followed by another try.

local ffi = require "ffi"
local C = require "wsproxy.library"
local options = require "wsproxy.options"
local now = require "resty.wsproxy.clock"
local tunnel = require "resty.wsproxy.tunnel"

local ffi_string = ffi.string
local tcp = ngx.socket.tcp

local UPSTREAM = tonumber(C.WSPROXY_UPSTREAM)
local ERR_ARGUMENT = tonumber(C.WSPROXY_ERR_ARGUMENT)
local READ_SIZE = 65536

local size = ffi.new("size_t[1]")
local parts = ffi.new("wsproxy_bytes[3]")

local _M = {}

-- What belongs to the handshake, and so is no header that anybody could pass through.
local function is_handshakes(name)
    return name == "connection" or name == "upgrade" or name:find("^sec%-websocket%-") ~= nil
end

local function set_protocols(p, protocols)
    if type(protocols) ~= "table" then
        protocols = { protocols }
    end
    for _, list in ipairs(protocols) do
        for name in tostring(list):gmatch("[^,]+") do
            name = name:match("^[ \t]*(.-)[ \t]*$")
            if name:find("%z") then
                return nil, "bad subprotocol: it has a zero byte"
            elseif name ~= "" and C.wsproxy_pull_add_subprotocol(p, name) ~= 0 then
                return nil, "bad subprotocol: " .. ffi_string(C.wsproxy_error(p))
            end
        end
    end
    return true
end

local function set_headers(p, lines)
    local seen = {}
    for _, line in ipairs(lines) do
        local name, value, err = options.header(line)
        if not name then
            return nil, err
        end
        local key = name:lower()
        if key == "sec-websocket-protocol" then
            local ok
            ok, err = set_protocols(p, value)
            if not ok then
                return nil, err
            end
        elseif not is_handshakes(key) then
            local set = seen[key] and C.wsproxy_pull_add_header or C.wsproxy_pull_set_header
            if set(p, name, value) ~= 0 then
                return nil, "bad header: " .. ffi_string(C.wsproxy_error(p))
            end
            seen[key] = true
        end
    end
    return true
end

local function set_header(p, name, value)
    value = tostring(value)
    if value:find("%z") or C.wsproxy_pull_set_header(p, name, value) ~= 0 then
        return nil, "bad header: " .. ffi_string(C.wsproxy_error(p))
    end
    return true
end

local function set_key(p, key)
    if key:find("%z") or C.wsproxy_pull_set_key(p, key) ~= 0 then
        return nil, "bad key: it is not 16 bytes in base64"
    end
    return true
end

-- What `opts` wants of the request. Wrong types are told in the words of lua-resty-websocket.
local function prepare(p, opts)
    if opts.server_name ~= nil and type(opts.server_name) ~= "string" then
        return nil, "SSL server_name must be a string"
    end
    if opts.headers and type(opts.headers) ~= "table" then
        return nil, "custom headers must be a table"
    end
    if opts.host ~= nil and type(opts.host) ~= "string" then
        return nil, "custom host header must be a string"
    end
    local ok, err = true, nil
    if opts.headers then
        ok, err = set_headers(p, opts.headers)
    end
    if ok and opts.protocols then
        ok, err = set_protocols(p, opts.protocols)
    end
    if ok and opts.origin then
        ok, err = set_header(p, "Origin", opts.origin)
    end
    if ok and opts.host then
        ok, err = set_header(p, "Host", opts.host)
    end
    if ok and opts.key then
        ok, err = set_key(p, tostring(opts.key))
    end
    return ok, err
end

-- Where to connect to, as cosockets want it.
local function address(p)
    local host, port = ffi_string(C.wsproxy_pull_upstream_host(p)), C.wsproxy_pull_upstream_port(p)
    if port == 0 then
        return "unix:" .. host, nil
    elseif host:find(":", 1, true) then
        return "[" .. host .. "]", port, host
    end
    return host, port, host
end

-- The HTTP proxy that leads to the upstream, if there is one: it is for wss:// alone.
local function http_proxy(p, opts)
    if opts.proxy_opts and C.wsproxy_pull_upstream_is_secure(p) == 1 then
        return opts.proxy_opts.wss_proxy
    end
    return nil
end

local function connect(sock, p, opts)
    local host, port = address(p)
    local pool
    if opts.pool or opts.pool_size or opts.backlog then
        pool = { pool = opts.pool, pool_size = opts.pool_size, backlog = opts.backlog }
    end
    local through = http_proxy(p, opts)
    if through then
        return tunnel.dial(sock, through, pool)
    elseif port and pool then
        return sock:connect(host, port, pool)
    elseif port then
        return sock:connect(host, port)
    elseif pool then
        return sock:connect(host, pool)
    end
    return sock:connect(host)
end

local function secure(sock, p, opts, verify)
    if http_proxy(p, opts) then
        local host, port = address(p)
        local ok, err = tunnel.ask(sock, host, port, opts.proxy_opts.wss_proxy_authorization)
        if not ok then
            return nil, err
        end
    end
    if opts.client_cert then
        local ok, err = sock:setclientcert(opts.client_cert, opts.client_priv_key)
        if not ok then
            return nil, "failed to set TLS client certificate: " .. err
        end
    end
    local _, _, name = address(p)
    name = opts.server_name or opts.host or name
    local ok, err = sock:sslhandshake(false, name, verify)
    -- A certificate that fails is sometimes reported as good, with the socket closed (seen with 0.10.23): a closed one
    -- does not know how often it was used.
    if not ok or not sock:getreusedtimes() then
        return nil, "ssl handshake failed: " .. (err or "handshake failed")
    end
    return true
end

local function send_request(sock, p)
    while true do
        local count = C.wsproxy_pull_output(p, UPSTREAM, parts, 1)
        if count <= 0 then
            return true
        end
        local request = ffi_string(parts[0].data, parts[0].len)
        C.wsproxy_pull_wrote(p, UPSTREAM, #request)
        local sent, err = sock:send(request)
        if not sent then
            return nil, "failed to send the handshake request: " .. err
        end
    end
end

-- The head of the upstream's answer, without the empty line; and whether that has come.
local function answer_head(p)
    local head = C.wsproxy_pull_answer_head(p, size)
    if head == nil then
        return nil
    end
    local lines, ends = ffi_string(head, size[0]):gsub("\r\n\r\n$", "")
    return lines, ends == 1
end

local function refusal(p)
    local err, head = ffi_string(C.wsproxy_error(p)), answer_head(p)
    if head and not head:find("^%s*HTTP/1%.1%s+") then
        return nil, "bad HTTP response status line: " .. head, head
    end
    return nil, err, head
end

local function read_answer(sock, p)
    while true do
        local state = C.wsproxy_pull_is_open(p, UPSTREAM)
        if state == 1 then
            return true, nil, (answer_head(p))
        elseif state < 0 then
            return refusal(p)
        end
        local data, err = sock:receiveany(READ_SIZE)
        C.wsproxy_pull_tick(p, now())
        if data then
            C.wsproxy_pull_input(p, UPSTREAM, data, #data)
        else
            C.wsproxy_pull_input_ended(p, UPSTREAM, err, #err)
            C.wsproxy_pull_is_open(p, UPSTREAM) -- which keeps the words
            local _, is_whole = answer_head(p)
            if is_whole then
                return refusal(p)
            end
            return nil, "failed to receive response header: " .. err
        end
    end
end

local function abandon(sock, p)
    C.wsproxy_pull_tick(p, now()) -- it may have been too slow
    local how = "could not be asked" -- what we return says why, in any bytes
    C.wsproxy_pull_input_ended(p, UPSTREAM, how, #how)
    sock:close()
end

-- `true, nil, head` and the cosocket in `self.upstream`; else `nil, err, head or nil`. `verify` is what
-- `sslhandshake` is told.
function _M.open(self, uri, opts, verify)
    local p = self.session
    local ok, err = prepare(p, opts)
    if not ok then
        return nil, err
    end
    C.wsproxy_pull_tick(p, now())
    local begun = C.wsproxy_pull_connect_upstream(p, uri)
    if begun == ERR_ARGUMENT then
        return nil, "bad websocket uri"
    elseif begun ~= 0 or C.wsproxy_pull_is_open(p, UPSTREAM) < 0 then
        return nil, ffi_string(C.wsproxy_error(p)) -- a client's request that is none: nobody is dialled
    end
    local sock = tcp()
    if self.connect_timeout then
        sock:settimeouts(self.connect_timeout, self.connect_timeout, self.connect_timeout)
    end
    local head
    ok, err = connect(sock, p, opts)
    if not ok then
        abandon(sock, p)
        return nil, "failed to connect: " .. err
    end
    if C.wsproxy_pull_upstream_is_secure(p) == 1 then
        ok, err = secure(sock, p, opts, verify)
    end
    if ok then
        ok, err = send_request(sock, p)
    end
    if ok then
        ok, err, head = read_answer(sock, p)
    end
    if not ok then
        abandon(sock, p)
        return nil, err, head
    end
    self.upstream = sock
    return true, nil, head
end

return _M
