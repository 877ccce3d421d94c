-- For LuaRocks: `luarocks make` in this directory installs the modules. The library is the system's (`make install`).

rockspec_format = "3.0"
package = "wsproxy"
version = "0.1.0-1"
source = {
    url = "file://wsproxy-0.1.0.tar.gz", -- a release's sources, whose directory bindings/lua this is
    dir = "wsproxy-0.1.0/bindings/lua",
}
description = {
    summary = "Reverse proxy for WebSocket frames, with a hook on every frame of both directions",
    detailed = "libwsproxy in OpenResty and in plain LuaJIT, and a drop-in for resty.websocket.proxy.",
    license = "Apache-2.0",
    labels = { "websocket", "proxy", "openresty", "luajit" },
}
dependencies = { "lua == 5.1" } -- as which LuaJIT counts
external_dependencies = { WSPROXY = { library = "libwsproxy.so" } }
build = {
    type = "builtin",
    modules = {
        ["wsproxy"] = "wsproxy.lua",
        ["wsproxy.cdef"] = "wsproxy/cdef.lua",
        ["wsproxy.hook"] = "wsproxy/hook.lua",
        ["wsproxy.library"] = "wsproxy/library.lua",
        ["wsproxy.listener"] = "wsproxy/listener.lua",
        ["wsproxy.options"] = "wsproxy/options.lua",
        ["wsproxy.session"] = "wsproxy/session.lua",
        ["resty.wsproxy"] = "resty/wsproxy.lua",
        ["resty.wsproxy.client"] = "resty/wsproxy/client.lua",
        ["resty.wsproxy.clock"] = "resty/wsproxy/clock.lua",
        ["resty.wsproxy.relay"] = "resty/wsproxy/relay.lua",
        ["resty.wsproxy.tunnel"] = "resty/wsproxy/tunnel.lua",
        ["resty.wsproxy.upstream"] = "resty/wsproxy/upstream.lua",
        ["resty.wsproxy.writer"] = "resty/wsproxy/writer.lua",
        ["resty.websocket.joining"] = "resty/websocket/joining.lua",
        ["resty.websocket.proxy"] = "resty/websocket/proxy.lua",
        ["resty.websocket.proxy_log"] = "resty/websocket/proxy_log.lua",
    },
}
