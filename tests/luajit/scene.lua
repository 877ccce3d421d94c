-- What runs before the Lua of every test: a listener, a way to report, and a session as most tests want it.
--
-- arg[1] is the upstream's URL. A report is a line of words with tabs between them.

io.stdout:setvbuf("line")

wsproxy = require "wsproxy"

local function shown(value)
    return (tostring(value):gsub("[%c\\]", function(c) return ("\\%03d"):format(c:byte()) end))
end

function report(...)
    local words = { ... }
    for n = 1, select("#", ...) do
        words[n] = shown(words[n])
    end
    print(table.concat(words, "\t"))
end

local listener

-- The next client.
function accept()
    if not listener then
        listener = assert(wsproxy.listen("127.0.0.1:0"))
        report("listening", listener:address())
    end
    return assert(listener:accept())
end

-- Serves one client with these options, and reports how both calls ended; `before` is called between them.
function session(opts, before)
    local client = accept()
    local proxy = wsproxy.new(opts)
    local ok, err, result = proxy:connect(client, arg[1])
    client:close()
    if not ok then
        report("connect", ok, err, result, proxy:http_status())
        return proxy
    end
    if before then
        before(proxy)
    end
    report("execute", proxy:execute())
    return proxy
end
