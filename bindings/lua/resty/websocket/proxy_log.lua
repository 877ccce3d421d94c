-- What resty.websocket.proxy writes to nginx's log, line by line: people search for these.
--
-- Rules. INFO is what peers do, ERR what went wrong; a session that ends in order writes no ERR. With `debug` every
-- frame is a block at DEBUG.

local C = require "wsproxy.library"
local joining = require "resty.websocket.joining"

local log, fmt = ngx.log, string.format
local INFO, ERR, DEBUG = ngx.INFO, ngx.ERR, ngx.DEBUG
local tonumber = tonumber

local ERR_LIMIT, ERR_PROTOCOL = tonumber(C.WSPROXY_ERR_LIMIT), tonumber(C.WSPROXY_ERR_PROTOCOL)
local MOST_OF_PAYLOAD = 24

local OTHER = { client = "upstream", upstream = "client" }
local ARROWS = { client = "-->", upstream = "<--" }
local CLOSE_ARROWS = { client = "--x", upstream = "x--" }

local _M = {}

-- A line at DEBUG, if the proxy is to write those.
function _M.debug(proxy, ...)
    if proxy.debug then
        return log(DEBUG, ...)
    end
end

local function shortened(payload)
    payload = payload:gsub("\n", "\\n")
    if #payload > MOST_OF_PAYLOAD then
        payload = payload:sub(1, MOST_OF_PAYLOAD) .. "[...]"
    end
    return fmt("%q", payload)
end

local function block(proxy, role, typ, payload, fin, code, initial)
    local arrow = (typ == "close" and CLOSE_ARROWS or ARROWS)[role]
    local extra = code and fmt("\n  code: %d", code) or ""
    if initial then
        extra = extra .. fmt("\n  initial type: \"%s\"", initial)
    end
    return fmt("\n[frame] downstream %s resty.proxy %s upstream\n"
        .. "  aggregating: %s\n  type: \"%s\"%s\n  payload: %s (len: %d)\n  fin: %s",
        arrow, arrow, tostring(proxy.aggregate_fragments), typ, extra, shortened(payload), #payload, tostring(fin))
end

-- `on_frame` with a block written before each call of it; frames pass unchanged if there is none.
function _M.watched(proxy, on_frame)
    if not proxy.debug then
        return on_frame
    end
    local function told(role, typ, payload, fin, code, initial)
        log(DEBUG, block(proxy, role, typ, payload, fin, code, initial))
    end
    local function decide(_, role, typ, payload, fin, code)
        if not on_frame then
            return payload, code
        end
        local new, new_code = on_frame(proxy, role, typ, payload, fin, code)
        if new == nil then
            log(DEBUG, role, " dropping ", typ, " frame after on_frame handler requested it")
        end
        return new, new_code
    end
    if proxy.aggregate_fragments then
        return joining.callback(told, decide)
    end
    return function(_, role, typ, payload, fin, code)
        told(role, typ, payload, fin, code)
        return decide(_, role, typ, payload, fin, code)
    end
end

-- The words of a limit that was hit, as the log has them.
local function limit_line(role, words)
    local what, count = words:match("(%a+) %a+ (%d+) exceeds the limit")
    what = what == "fragment" and "count" or "size"
    return fmt("%s frame %s (%s) exceeds limit, closing", role, what, count)
end

-- What resty.wsproxy is to say of `proxy`'s session.
function _M.observer(proxy)
    local closing = false
    return {
        closing = function(_, code, payload)
            closing = true
            log(INFO, "forwarding close with code: ", code, ", payload: ", payload)
        end,
        receiving = proxy.debug and function(role)
            log(DEBUG, role, " receiving frame...")
        end or nil,
        timed_out = function(role)
            log(INFO, fmt("timeout receiving frame from %s, reopening", role))
        end,
        receive_failed = function(role, err)
            -- How a peer leaves that was told of the end is its own affair.
            if not closing and not err:find("closed", 1, true) then
                proxy.broken = proxy.broken or err
                log(ERR, fmt("failed receiving frame from %s: %s", role, err))
            end
        end,
        send_failed = function(role, err)
            if not closing then
                log(ERR, fmt("failed forwarding a frame from %s: %s", OTHER[role], err))
            elseif not err:find("closed", 1, true) then
                log(ERR, fmt("failed sending close frame to %s: %s", role, err))
            end
        end,
        forward_failed = function(role, err)
            log(ERR, fmt("failed forwarding a frame from %s: %s", role, err))
        end,
        close_failed = function(role, err)
            log(ERR, fmt("failed sending close frame to %s: %s", role, err))
        end,
        hook_failed = function(err)
            closing = true
            log(ERR, "failed to wait for websocket proxy threads: ", err)
        end,
        ending = function(result, role, words)
            closing = true
            if result == ERR_LIMIT then
                log(INFO, limit_line(role, words))
            elseif result == ERR_PROTOCOL then
                log(ERR, fmt("failed receiving frame from %s: %s", role, words))
            end
        end,
    }
end

return _M
