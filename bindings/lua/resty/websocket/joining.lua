-- Joins fragments before `on_frame` sees them, in Lua: for `debug`, where each is to be told of on its own. Without it
-- the library joins them.
--
-- Rules. Every fragment but the last is dropped, and the last one carries the message: what the library sends is then
-- one frame of the first one's type. Limits on messages are the library's in either case.

local concat = table.concat

local _M = {}

local function is_control(typ)
    return typ == "close" or typ == "ping" or typ == "pong"
end

-- `told(role, typ, payload, fin, code, initial)` is called for each frame; `on_frame` for each message.
function _M.callback(told, on_frame)
    local messages = {}
    return function(proxy, role, typ, payload, fin, code)
        local message = messages[role]
        told(role, typ, payload, fin, code, message and message.typ)
        if is_control(typ) or (fin and not message) then
            return on_frame(proxy, role, typ, payload, fin, code)
        end
        message = message or { typ = typ }
        message[#message + 1] = payload
        messages[role] = not fin and message or nil
        if fin then
            return on_frame(proxy, role, message.typ, concat(message), true, nil)
        end
        return nil
    end
end

return _M
