-- The way to a wss:// upstream through an HTTP proxy: CONNECT (RFC 9110 9.3.6).
--
-- Rules. The proxy is spoken to in plain HTTP and is trusted with the name and the port alone: TLS begins behind its
-- 200. What it is named by is the caller's: `http://host[:port]`, or `unix:/path`. Its answer has a bound.

local DEFAULT_PORT = 80
local MOST_OF_HEAD = 65536

local _M = {}

-- Host and port of the proxy, as cosockets want them; the port is nil for a Unix socket. `nil, err` if it is none.
local function address(url)
    if type(url) ~= "string" then
        return nil, "invalid proxy url"
    elseif url:find("^unix:/") then
        return url
    end
    local authority = url:match("^https?://([^/?#]+)")
    if not authority then
        return nil, "only proxy with scheme \"http\" or \"https\" is supported"
    end
    local host, port = authority:match("^(.-):(%d+)$")
    if not host or host:find("^%[[^%]]*$") then
        host, port = authority, DEFAULT_PORT
    end
    return host, tonumber(port)
end

-- Connects to the proxy at `url`: what `sock:connect` returns.
function _M.dial(sock, url, pool)
    local host, port = address(url)
    if not host then
        return nil, port
    elseif port then
        return sock:connect(host, port, pool)
    end
    return sock:connect(host, pool)
end

-- Asks the proxy for a connection to `host:port`: `true` or `nil, err`.
function _M.ask(sock, host, port, authorization)
    local target = host .. ":" .. port
    local request = "CONNECT " .. target .. " HTTP/1.1\r\nHost: " .. target .. "\r\n"
    if authorization then
        if tostring(authorization):find("[%z\r\n]") then
            return nil, "bad header: Proxy-Authorization has a line end"
        end
        request = request .. "Proxy-Authorization: " .. authorization .. "\r\n"
    end
    local sent, err = sock:send(request .. "\r\n")
    if not sent then
        return nil, "failed to send the handshake request: " .. err
    end
    local read = sock:receiveuntil("\r\n\r\n")
    local head
    head, err = read(MOST_OF_HEAD)
    if not head or read(1) then
        return nil, "failed to receive response header: " .. (err or "it is too long")
    end
    local status = head:match("^HTTP/1%.[01] (%d%d%d)")
    if not status then
        return nil, "bad HTTP response status line: " .. head
    elseif status:sub(1, 1) ~= "2" then
        return nil, "error establishing a connection to the proxy server, got status " .. status
    end
    return true
end

return _M
