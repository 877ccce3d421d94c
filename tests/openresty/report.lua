-- What Lua under test tells its test, by the error log: `report("execute", nil, "why")` is heard as `nil "why"`.
-- Strings are quoted, with their line feeds as \n.
function report(name, ...)
    local values = { ... }
    for i = 1, select("#", ...) do
        local value = values[i]
        if type(value) == "string" then
            values[i] = string.format("%q", value):gsub("\\\n", "\\n")
        else
            values[i] = tostring(value)
        end
    end
    ngx.log(ngx.NOTICE, "report ", name, ": ", table.concat(values, " "))
end
