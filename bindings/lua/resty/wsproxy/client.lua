-- The client's half of the handshakes: its request as nginx has read it, judged by the library, answered by nginx.
--
-- Rules. The answer goes through nginx's own header filter, so that $status, add_header and the access log know of it;
-- what it says is the library's. Nothing is sent to a client that is refused: its handler decides how to answer. Checks
-- that lua-resty-websocket has too fail in its words.

local ffi = require "ffi"
local C = require "wsproxy.library"
local now = require "resty.wsproxy.clock"

local ffi_string = ffi.string
local ngx = ngx
local header, lower = ngx.header, string.lower
local raw_header, get_headers, http_version = ngx.req.raw_header, ngx.req.get_headers, ngx.req.http_version

local CLIENT = tonumber(C.WSPROXY_CLIENT)

-- nginx writes these itself, or hides them of an upstream unless told otherwise (proxy_pass_header).
local NGINX_OWN = { connection = true, date = true, server = true }

local parts = ffi.new("wsproxy_bytes[3]")

local _M = {}

local function first(value)
    if type(value) == "table" then
        return value[1]
    end
    return value
end

-- What is wrong with the request, in the words of lua-resty-websocket, and the status to refuse it with; `nil` if
-- nothing that it looks at.
local function complaint_of_request()
    if ngx.headers_sent then
        return "response header already sent", 500
    end
    if http_version() ~= 1.1 then
        return "bad http version", 400
    end
    local headers = get_headers(0)
    local upgrade = first(headers.upgrade)
    if not upgrade or lower(upgrade) ~= "websocket" then
        return "bad \"upgrade\" request header: " .. tostring(upgrade), 400
    end
    local connection = headers.connection
    if type(connection) == "table" then
        connection = table.concat(connection, ",")
    end
    if not connection or not lower(connection):find("upgrade", 1, true) then
        return "bad \"connection\" request header", 400
    end
    if not first(headers["sec-websocket-key"]) then
        return "bad \"sec-websocket-key\" request header", 400
    end
    if first(headers["sec-websocket-version"]) ~= "13" then
        return "bad \"sec-websocket-version\" request header", 426
    end
    return nil
end

-- Takes the request and gives it to the library, once. What is wrong with it; `nil` if nothing is so far.
function _M.take_request(self)
    local complaint, status = complaint_of_request()
    if complaint then
        self.refused_with = status
        return complaint
    elseif self.has_head then
        return nil
    end
    local head = raw_header()
    if C.wsproxy_set_client_head(self.session, head, #head) ~= 0 then
        return ffi_string(C.wsproxy_error(self.session))
    end
    self.has_head = true
    return nil
end

-- The library's answer, as bytes.
local function take_answer(p)
    local answer = ""
    while true do
        local count = C.wsproxy_pull_output(p, CLIENT, parts, 3)
        if count <= 0 then
            return answer
        end
        local part = ffi_string(parts[0].data, parts[0].len)
        C.wsproxy_pull_wrote(p, CLIENT, #part)
        answer = answer .. part
    end
end

-- Sends an answer by nginx.
local function send_answer(answer)
    local lines = {}
    for name, value in answer:gmatch("\r\n([^:\r\n]+): ?([^\r\n]*)") do
        if not NGINX_OWN[lower(name)] then
            local values = lines[lower(name)] or { name = name }
            values[#values + 1] = value
            lines[lower(name)] = values
        end
    end
    header["Content-Type"] = nil
    for _, values in pairs(lines) do
        header[values.name] = values[2] and values or values[1]
    end
    ngx.status = 101
    local ok, err = ngx.send_headers()
    if not ok then
        return nil, "failed to send response header: " .. (err or "unknown")
    end
    ok, err = ngx.flush(true)
    if not ok then
        return nil, "failed to flush response header: " .. (err or "unknown")
    end
    return true
end

-- `true` and the cosocket in `self.client`; else `nil, err`.
function _M.open(self)
    local p = self.session
    local err = _M.take_request(self)
    if err then
        return nil, err
    end
    C.wsproxy_pull_tick(p, now())
    if C.wsproxy_pull_connect_client(p) ~= 0 or C.wsproxy_pull_is_open(p, CLIENT) ~= 1 then
        return nil, ffi_string(C.wsproxy_error(p))
    end
    local ok
    ok, err = send_answer(take_answer(p))
    if not ok then
        return nil, err
    end
    local sock
    sock, err = ngx.req.socket(true)
    if not sock then
        return nil, err
    end
    self.client = sock
    return true
end

return _M
