-- Options of a Lua table as a configuration of the library.
--
-- Rules. An option that is not given has the library's default. A wrong one is the host's mistake: `nil` and words that
-- name it, for the caller to throw; nothing is cut short or left out in silence. Times are milliseconds, sizes bytes;
-- `client_` or `upstream_` before a limit makes it that side's alone, and then counts more than the limit of both. A
-- configuration frees itself.

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

local TLS_VERSIONS = { ["1.2"] = tonumber(C.WSPROXY_TLS_1_2), ["1.3"] = tonumber(C.WSPROXY_TLS_1_3) }

local _M = {}

-- In the order in which they are carried out: what is for both sides before what is for one.
local names, setters = {}, {}

local function define(name, setter)
    names[#names + 1] = name
    setters[name] = setter
end

-- What the library does where it has the sockets itself; with those of nginx it is nginx's to do.
local OF_SOCKETS = {
    http_proxy = true,
    upstream_verify = true,
    upstream_ca_file = true,
    upstream_server_name = true,
    upstream_certificate = true,
    client_certificate = true,
    client_ca_file = true,
    min_tls = true,
    client_min_tls = true,
    upstream_min_tls = true,
}

local function number(value, least)
    if type(value) ~= "number" or value ~= value or value < least then
        return nil, "must be a number >= " .. least
    elseif value >= 2 ^ 53 then
        return nil, "is too large"
    end
    return value
end

-- A string that C reads as a whole.
local function is_text(value)
    return type(value) == "string" and not value:find("%z")
end

-- Whether every key is a place in a row that begins with 1.
local function is_array(values)
    local count = 0
    for _ in pairs(values) do
        count = count + 1
    end
    return count == #values
end

local function is_list_of_texts(values)
    for _, value in pairs(values) do
        if not is_text(value) then
            return false
        end
    end
    return is_array(values)
end

-- `set(config, side, value)` for both sides by `name`, and for one by `client_name` and `upstream_name`.
local function for_sides(name, set)
    define(name, function(config, value)
        return set(config, BOTH, value)
    end)
    for prefix, side in pairs(SIDES) do
        define(prefix .. name, function(config, value)
            return set(config, side, value)
        end)
    end
end

local function limit(name)
    local setter = C["wsproxy_config_set_" .. name]
    for_sides(name, function(config, side, value)
        local count, err = number(value, 1)
        if not count then
            return nil, err
        end
        return setter(config, side, math.floor(count))
    end)
end

-- Rounded up, as 0 may mean for ever.
local function period(name)
    local setter = C["wsproxy_config_set_" .. name]
    define(name, function(config, value)
        local ms, err = number(value, 0)
        if not ms then
            return nil, err
        end
        return setter(config, math.ceil(ms))
    end)
end

local function switch(name)
    local setter = C["wsproxy_config_set_" .. name]
    define(name, function(config, value)
        return setter(config, value and 1 or 0)
    end)
end

local function text(name, setter)
    define(name, function(config, value)
        if not is_text(value) then
            return nil, "must be a string"
        end
        return setter(config, value)
    end)
end

local function texts(name, setter)
    define(name, function(config, values)
        if type(values) ~= "table" or not is_list_of_texts(values) then
            return nil, "must be a table: a list of strings"
        end
        for _, value in ipairs(values) do
            local result = setter(config, value)
            if result ~= 0 then
                return result
            end
        end
        return 0
    end)
end

-- Both file names, of a chain and of its key.
local function certificate(name, setter)
    define(name, function(config, files)
        if type(files) ~= "table" or not is_list_of_texts(files) or #files ~= 2 then
            return nil, "must be a table of two file names, the chain's and the key's"
        end
        return setter(config, files[1], files[2])
    end)
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
text("client_ca_file", C.wsproxy_config_add_client_ca_file)

for_sides("min_tls", function(config, side, value)
    if not TLS_VERSIONS[value] then
        return nil, 'must be "1.2" or "1.3"'
    end
    return C.wsproxy_config_set_min_tls_version(config, side, TLS_VERSIONS[value])
end)

for_sides("aggregate_fragments", function(config, side, value)
    return C.wsproxy_config_set_aggregate(config, side, value and 1 or 0)
end)

define("forwarded", function(config, value)
    if not FORWARDED[value] then
        return nil, 'must be "none", "x", "rfc7239" or "both"'
    end
    return C.wsproxy_config_set_forwarded(config, FORWARDED[value])
end)

-- Lines "Name: value"; the first of a name takes the place of the client's, others go beside it.
define("headers", function(config, lines)
    if type(lines) ~= "table" or not is_array(lines) then
        return nil, "must be a table: a list of lines \"Name: value\""
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
end)

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

-- Whether there is an option of that name, for every host.
function _M.knows(name)
    return setters[name] ~= nil and not OF_SOCKETS[name]
end

-- Whether there is one for hosts that leave the sockets to the library.
function _M.knows_of_sockets(name)
    return OF_SOCKETS[name] ~= nil
end

-- A configuration with those of `options` that there are here.
function _M.configuration(options)
    local config = C.wsproxy_config_new()
    if config == nil then
        return nil, "no memory for a configuration"
    end
    ffi.gc(config, C.wsproxy_config_free)
    for _, name in ipairs(names) do
        local value = options[name]
        if value ~= nil then
            local result, err = setters[name](config, value)
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
