-- Options of a Lua table as a configuration of the library.
--
-- Rules. An option that is not given has the library's default. A wrong one is the host's mistake: `nil` and words that
-- name it, for the caller to throw. Times are milliseconds, sizes bytes; `client_` or `upstream_` before a limit makes it
-- that side's alone. A configuration frees itself.

local ffi = require "ffi"
local C = require "wsproxy.library"

local BOTH = tonumber(C.WSPROXY_BOTH)
local SIDES = { client_ = tonumber(C.WSPROXY_CLIENT), upstream_ = tonumber(C.WSPROXY_UPSTREAM) }
local FORWARDED = {
    none = tonumber(C.WSPROXY_FORWARDED_NONE),
    x = tonumber(C.WSPROXY_FORWARDED_X),
    rfc7239 = tonumber(C.WSPROXY_FORWARDED_RFC7239),
    both = tonumber(C.WSPROXY_FORWARDED_X) + tonumber(C.WSPROXY_FORWARDED_RFC7239),
}

local _M = {}

local setters = {}

local function number(value, least)
    if type(value) ~= "number" or not (value >= least and value < 2 ^ 53) then
        return nil, "must be a number >= " .. least
    end
    return math.floor(value)
end

local function limit(name)
    local setter = C["wsproxy_config_set_" .. name]
    local function for_side(side)
        return function(config, value)
            local bytes, err = number(value, 1)
            if not bytes then
                return nil, err
            end
            return setter(config, side, bytes)
        end
    end
    setters[name] = for_side(BOTH)
    for prefix, side in pairs(SIDES) do
        setters[prefix .. name] = for_side(side)
    end
end

local function period(name)
    local setter = C["wsproxy_config_set_" .. name]
    setters[name] = function(config, value)
        local ms, err = number(value, 0)
        if not ms then
            return nil, err
        end
        return setter(config, ms)
    end
end

local function switch(name)
    local setter = C["wsproxy_config_set_" .. name]
    setters[name] = function(config, value)
        return setter(config, value and 1 or 0)
    end
end

local function text(name, setter)
    setters[name] = function(config, value)
        if type(value) ~= "string" then
            return nil, "must be a string"
        end
        return setter(config, value)
    end
end

local function texts(name, setter)
    setters[name] = function(config, values)
        if type(values) ~= "table" then
            return nil, "must be a table"
        end
        for _, value in ipairs(values) do
            local result = setter(config, tostring(value))
            if result ~= 0 then
                return result
            end
        end
        return 0
    end
end

-- Both file names, of a chain and of its key.
local function certificate(name, setter)
    setters[name] = function(config, files)
        if type(files) ~= "table" or type(files[1]) ~= "string" or type(files[2]) ~= "string" then
            return nil, "must be a table of two file names, the chain's and the key's"
        end
        return setter(config, files[1], files[2])
    end
end

limit "max_frame_size"
limit "max_message_size"
limit "max_fragments"
period "connect_timeout"
period "idle_timeout"
period "write_timeout"
period "close_timeout"
period "keepalive_interval"
period "send_queue"
switch "check_utf8"
switch "pass_headers"
switch "explain_limits"
switch "upstream_verify"
text("http_proxy", C.wsproxy_config_set_http_proxy)
text("upstream_ca_file", C.wsproxy_config_add_upstream_ca_file)
text("upstream_server_name", C.wsproxy_config_set_upstream_server_name)
certificate("upstream_certificate", C.wsproxy_config_set_upstream_certificate_file)
certificate("client_certificate", C.wsproxy_config_set_client_certificate_file)
texts("origins", C.wsproxy_config_add_origin)
texts("protocols", C.wsproxy_config_add_subprotocol)
texts("remove_headers", C.wsproxy_config_remove_header)

setters.aggregate_fragments = function(config, value)
    return C.wsproxy_config_set_aggregate(config, BOTH, value and 1 or 0)
end

setters.forwarded = function(config, value)
    if not FORWARDED[value] then
        return nil, 'must be "none", "x", "rfc7239" or "both"'
    end
    return C.wsproxy_config_set_forwarded(config, FORWARDED[value])
end

-- Lines "Name: value"; the first of a name takes the place of the client's, others go beside it.
setters.headers = function(config, lines)
    if type(lines) ~= "table" then
        return nil, "must be a table"
    end
    local seen = {}
    for _, line in ipairs(lines) do
        local name, value, err = _M.header(line)
        if not name then
            return nil, err
        end
        local set = seen[name:lower()] and C.wsproxy_config_add_header or C.wsproxy_config_set_header
        local result = set(config, name, value)
        if result ~= 0 then
            return result
        end
        seen[name:lower()] = true
    end
    return 0
end

-- Cuts a header line; `nil, nil, err` if it is none, or would be more than one.
function _M.header(line)
    if type(line) ~= "string" then
        return nil, nil, "bad header: a line must be a string"
    end
    if line:find("[%z\r\n]") then
        return nil, nil, "bad header: CR, LF and NUL cannot stand in it"
    end
    local name, value = line:match("^([^:%s]+):[ \t]*(.-)[ \t]*$")
    if not name then
        return nil, nil, "bad header: a line must be \"Name: value\""
    end
    return name, value
end

-- Whether there is an option of that name.
function _M.knows(name)
    return setters[name] ~= nil
end

-- A configuration with those of `options` that there are here.
function _M.configuration(options)
    local config = C.wsproxy_config_new()
    if config == nil then
        return nil, "no memory for a configuration"
    end
    ffi.gc(config, C.wsproxy_config_free)
    for name, setter in pairs(setters) do
        local value = options[name]
        if value ~= nil then
            local result, err = setter(config, value)
            if not result then
                return nil, name .. " " .. err
            elseif result ~= 0 then
                return nil, name .. ": " .. ffi.string(C.wsproxy_config_error(config))
            end
        end
    end
    return config
end

return _M
