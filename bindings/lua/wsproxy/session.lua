-- What every Lua host asks of a session, and what it may send.
--
-- Rules. `session` is a `wsproxy *` that was not freed. What is given back is Lua's own, so it is good for ever.

local ffi = require "ffi"
local C = require "wsproxy.library"

local ffi_string, tonumber, tostring, type, pcall = ffi.string, tonumber, tostring, type, pcall

local ABSENT = tonumber(C.WSPROXY_CLOSE_ABSENT)
local SIDES = { client = tonumber(C.WSPROXY_CLIENT), upstream = tonumber(C.WSPROXY_UPSTREAM) }
local KINDS = {
    continuation = tonumber(C.WSPROXY_CONTINUATION),
    text = tonumber(C.WSPROXY_TEXT),
    binary = tonumber(C.WSPROXY_BINARY),
    close = tonumber(C.WSPROXY_CLOSE),
    ping = tonumber(C.WSPROXY_PING),
    pong = tonumber(C.WSPROXY_PONG),
}
local SENDABLE = { text = true, binary = true, ping = true, pong = true }

local counters = ffi.new("wsproxy_side_stats[1]")

local _M = { SIDES = SIDES, KINDS = KINDS }

local function close_code(code)
    if code == 0 then
        return nil
    end
    return code == ABSENT and "absent" or code
end

local function side_stats(session, side)
    C.wsproxy_stats(session, side, counters, ffi.sizeof("wsproxy_side_stats"))
    local from, stats = counters[0], { frames = {}, bytes = {} }
    for name, kind in pairs(KINDS) do
        stats.frames[name] = tonumber(from.frames[kind])
        stats.bytes[name] = tonumber(from.bytes[kind])
    end
    stats.dropped, stats.replaced = tonumber(from.dropped), tonumber(from.replaced)
    stats.sent = tonumber(from.sent_by_host)
    stats.closed_first = from.closed_first == 1
    stats.close_received = close_code(from.close_received)
    stats.close_sent = close_code(from.close_sent)
    return stats
end

-- What has crossed so far, by the side that it came from.
function _M.stats(session)
    return { client = side_stats(session, SIDES.client), upstream = side_stats(session, SIDES.upstream) }
end

-- The subprotocol that the upstream chose, or nil.
function _M.subprotocol(session)
    local name = C.wsproxy_subprotocol(session)
    return name ~= nil and ffi_string(name) or nil
end

-- Side and kind of a frame of the host's own as numbers; else `nil, nil` and what is wrong with it.
function _M.outgoing(role, typ, payload)
    if not SIDES[role] then
        return nil, nil, "role must be \"client\" or \"upstream\""
    elseif not SENDABLE[typ] then
        return nil, nil, "typ must be \"text\", \"binary\", \"ping\" or \"pong\""
    elseif type(payload) ~= "string" then
        return nil, nil, "payload must be a string"
    end
    return SIDES[role], KINDS[typ]
end

-- What a hook threw, as words; making them may fail in its turn.
function _M.words_of(err)
    local made, words = pcall(tostring, err)
    return made and type(words) == "string" and words or "an error of type " .. type(err)
end

return _M
