-- Finds libwsproxy.so, makes sure that it is the one whose declarations we have, and returns its namespace.
--
-- Rules. WSPROXY_LIB names the file, and then no other is tried; else the loader's path (LD_LIBRARY_PATH, ldconfig),
-- then the directories of package.cpath, where nginx has lua_package_cpath and LuaRocks installs. A library of another
-- ABI is refused: its structs and numbers would be read wrongly. nginx takes the environment away from its workers, but
-- for what `env WSPROXY_LIB;` keeps. Nothing here starts a thread or takes randomness, so that a process may fork
-- afterwards.

local ffi = require "ffi"

-- The SONAME's file is what packages install; the other one is what a build leaves.
local NAMES = { "libwsproxy.so.0", "libwsproxy.so" }

-- A second time in the same VM (package.loaded was cleared) the types are there already.
if not pcall(ffi.typeof, "wsproxy_frame") then
    ffi.cdef(require "wsproxy.cdef")
end

local function candidates()
    local named = os.getenv("WSPROXY_LIB")
    if named and named ~= "" then
        return { named }
    end
    local files = { NAMES[1], NAMES[2] }
    for template in package.cpath:gmatch("[^;]+") do
        local directory = template:match("^(.*/)[^/]*%?[^/]*$")
        if directory then
            files[#files + 1] = directory .. NAMES[1]
            files[#files + 1] = directory .. NAMES[2]
        end
    end
    return files
end

local function load_first(files)
    local failures = {}
    for _, file in ipairs(files) do
        local ok, found = pcall(ffi.load, file)
        if ok then
            return found, file
        end
        failures[#failures + 1] = "\n\t" .. found
    end
    error("libwsproxy was not found; WSPROXY_LIB may name the file:" .. table.concat(failures), 0)
end

local C, file = load_first(candidates())

local has_abi, abi = pcall(function() return C.wsproxy_abi() end)
if not has_abi then
    error(file .. " is no libwsproxy: " .. abi, 0)
end
if abi ~= C.WSPROXY_ABI then
    error(("%s has ABI %d, and this module is for ABI %d"):format(file, abi, tonumber(C.WSPROXY_ABI)), 0)
end

return C
