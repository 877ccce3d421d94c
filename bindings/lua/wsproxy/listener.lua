-- A listening socket, for hosts that have no other library for sockets: it gives its clients one by one.
--
-- Rules. Addresses are those of the library's server: "HOST:PORT", an IPv6 address in brackets, port 0 for any that is
-- free, or "unix:/path", a socket that is removed at the end. What is left behind closes itself. The declarations are
-- those of Linux, under names of our own, so that they are in nobody's way; `poll` comes before every call that could
-- block, as it is the one that a signal always interrupts: then Lua runs, and may end the program.

local ffi = require "ffi"

local ffi_string, tonumber, type = ffi.string, tonumber, type
local min, floor = math.min, math.floor

-- A second time in the same VM they are there already.
if not pcall(ffi.typeof, "struct wsproxy_lua_addrinfo") then
    ffi.cdef [[
struct wsproxy_lua_addrinfo {
    int flags, family, socktype, protocol;
    uint32_t addrlen;
    void *addr;
    char *canonname;
    struct wsproxy_lua_addrinfo *next;
};
struct wsproxy_lua_sockaddr { uint16_t family; char rest[126]; };
struct wsproxy_lua_pollfd { int fd; short events, revents; };
struct wsproxy_lua_timespec { long sec, nsec; };
int wsproxy_lua_getaddrinfo(const char *host, const char *port, const struct wsproxy_lua_addrinfo *hints,
                            struct wsproxy_lua_addrinfo **found) __asm__("getaddrinfo");
void wsproxy_lua_freeaddrinfo(struct wsproxy_lua_addrinfo *found) __asm__("freeaddrinfo");
const char *wsproxy_lua_gai_strerror(int code) __asm__("gai_strerror");
int wsproxy_lua_getnameinfo(const void *addr, uint32_t len, char *host, uint32_t host_len, char *port,
                            uint32_t port_len, int flags) __asm__("getnameinfo");
int wsproxy_lua_getsockname(int fd, void *addr, uint32_t *len) __asm__("getsockname");
int wsproxy_lua_socket(int family, int kind, int protocol) __asm__("socket");
int wsproxy_lua_setsockopt(int fd, int level, int name, const int *value, uint32_t len) __asm__("setsockopt");
int wsproxy_lua_bind(int fd, const void *addr, uint32_t len) __asm__("bind");
int wsproxy_lua_listen(int fd, int backlog) __asm__("listen");
int wsproxy_lua_accept4(int fd, void *addr, uint32_t *len, int flags) __asm__("accept4");
int wsproxy_lua_poll(struct wsproxy_lua_pollfd *fds, unsigned long count, int timeout) __asm__("poll");
int wsproxy_lua_clock_gettime(int clock, struct wsproxy_lua_timespec *time) __asm__("clock_gettime");
int wsproxy_lua_close(int fd) __asm__("close");
int wsproxy_lua_unlink(const char *path) __asm__("unlink");
const char *wsproxy_lua_strerror(int code) __asm__("strerror");
]]
end

local sys = ffi.C

local AF_UNIX, AF_INET6 = 1, 10
local SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC = 1, 2048, 524288
local SOL_SOCKET, SO_REUSEADDR = 1, 2
local AI_PASSIVE, NUMERIC = 1, 3 -- NI_NUMERICHOST and NI_NUMERICSERV
local POLLIN, CLOCK_MONOTONIC = 1, 1
local EINTR, EAGAIN, ECONNABORTED = 4, 11, 103
local BACKLOG = 4096 -- the system takes less if it has less
local MOST_OF_A_PATH = 107

local one = ffi.new("int[1]", 1)
local call = ffi.new("struct wsproxy_lua_pollfd[1]")
local time = ffi.new("struct wsproxy_lua_timespec[1]")
local found = ffi.new("struct wsproxy_lua_addrinfo *[1]")
local name = ffi.new("struct wsproxy_lua_sockaddr[1]")
local name_len = ffi.new("uint32_t[1]")
local host_text, port_text = ffi.new("char[64]"), ffi.new("char[16]")

local function words(code)
    return ffi_string(sys.wsproxy_lua_strerror(code or ffi.errno()))
end

local function close_handle(handle)
    if handle[0] >= 0 then
        sys.wsproxy_lua_close(handle[0])
        handle[0] = -1
    end
end

-- A place for a descriptor, which closes what is put in.
local function new_handle()
    return ffi.gc(ffi.new("int[1]", -1), close_handle)
end

local client_mt = { __index = {} }

-- The descriptor, -1 once it is closed.
function client_mt.__index:getfd()
    return self.handle[0]
end

function client_mt.__index:close()
    close_handle(self.handle)
end

local _M = {}
local mt = { __index = _M }

local function listen_on(handle, family, addr, addr_len)
    handle[0] = sys.wsproxy_lua_socket(family, SOCK_STREAM + SOCK_NONBLOCK + SOCK_CLOEXEC, 0)
    if handle[0] < 0 then
        return nil, words()
    end
    sys.wsproxy_lua_setsockopt(handle[0], SOL_SOCKET, SO_REUSEADDR, one, ffi.sizeof("int"))
    if sys.wsproxy_lua_bind(handle[0], addr, addr_len) ~= 0 or sys.wsproxy_lua_listen(handle[0], BACKLOG) ~= 0 then
        local err = words()
        close_handle(handle)
        return nil, err
    end
    return true
end

local function listen_on_path(handle, path)
    if path:find("%z") or #path == 0 or #path > MOST_OF_A_PATH then
        return nil, "bad path of a Unix socket"
    end
    local addr = ffi.new("struct wsproxy_lua_sockaddr", { family = AF_UNIX })
    ffi.copy(addr.rest, path) -- and a NUL
    return listen_on(handle, AF_UNIX, addr, 2 + #path + 1)
end

-- The first address of the host that can be listened on.
local function listen_on_host(handle, host, port)
    local hints = ffi.new("struct wsproxy_lua_addrinfo", { flags = AI_PASSIVE, socktype = SOCK_STREAM })
    local failed = sys.wsproxy_lua_getaddrinfo(host, port, hints, found)
    if failed ~= 0 then
        return nil, ffi_string(sys.wsproxy_lua_gai_strerror(failed))
    end
    local ok, err
    local each = found[0]
    repeat
        ok, err = listen_on(handle, each.family, each.addr, each.addrlen)
        each = each.next
    until ok or each == nil
    sys.wsproxy_lua_freeaddrinfo(found[0])
    return ok, err
end

local function split(address)
    local host, port = address:match("^%[([^%[%]%z]+)%]:(%d+)$")
    if not host then
        host, port = address:match("^([^:%[%]%z]+):(%d+)$")
    end
    if not host or tonumber(port) > 65535 then
        return nil
    end
    return host, port
end

-- A listener, or `nil, err`.
function _M.new(address)
    local self = setmetatable({ handle = new_handle() }, mt)
    local ok, err
    local path = address:match("^unix:(.*)$")
    local host, port = split(address)
    if path then
        ok, err = listen_on_path(self.handle, path)
        self.path = ok and path
    elseif host then
        ok, err = listen_on_host(self.handle, host, port)
    else
        err = "an address is HOST:PORT or unix:/path"
    end
    if not ok then
        return nil, ("cannot listen on %s: %s"):format(address, err)
    end
    return self
end

-- Where it listens, with the port that it really has; `nil, err` once it is closed.
function _M:address()
    if self.path then
        return "unix:" .. self.path
    end
    name_len[0] = ffi.sizeof(name)
    if sys.wsproxy_lua_getsockname(self.handle[0], name, name_len) ~= 0 then
        return nil, words()
    end
    sys.wsproxy_lua_getnameinfo(name, name_len[0], host_text, 64, port_text, 16, NUMERIC)
    local form = name[0].family == AF_INET6 and "[%s]:%s" or "%s:%s"
    return form:format(ffi_string(host_text), ffi_string(port_text))
end

-- Its descriptor, for whoever waits for several things.
function _M:getfd()
    return self.handle[0]
end

local function now()
    sys.wsproxy_lua_clock_gettime(CLOCK_MONOTONIC, time)
    return tonumber(time[0].sec) * 1000 + tonumber(time[0].nsec) / 1e6
end

-- Whether somebody calls before `deadline`.
local function is_called(self, deadline)
    local left = -1
    if deadline then
        left = min(math.max(0, floor(deadline - now() + 1)), 2 ^ 31 - 1)
    end
    call[0].fd, call[0].events = self.handle[0], POLLIN
    local count = sys.wsproxy_lua_poll(call, 1, left)
    if count < 0 and ffi.errno() ~= EINTR then
        return nil, words()
    end
    return count > 0 or not deadline or now() < deadline, "timeout"
end

-- The next client: something with `getfd` and `close`; or `nil, err`, `nil, "timeout"` after `timeout` milliseconds.
-- Whoever shares the listener, after a fork, may be faster: then it goes on waiting.
function _M:accept(timeout)
    if timeout ~= nil and type(timeout) ~= "number" then
        error("timeout must be a number", 2)
    end
    local deadline = timeout and now() + timeout
    local client = setmetatable({ handle = new_handle() }, client_mt)
    while self.handle[0] >= 0 do
        local called, err = is_called(self, deadline)
        if not called then
            return nil, err
        end
        client.handle[0] = sys.wsproxy_lua_accept4(self.handle[0], nil, nil, SOCK_CLOEXEC)
        if client.handle[0] >= 0 then
            return client
        end
        local code = ffi.errno()
        if code ~= EAGAIN and code ~= EINTR and code ~= ECONNABORTED then
            return nil, words(code)
        end
    end
    return nil, "closed"
end

-- Listens no more.
function _M:close()
    if self.handle[0] >= 0 and self.path then
        sys.wsproxy_lua_unlink(self.path)
    end
    close_handle(self.handle)
end

return _M
