-- luacheck, for `make lint`: LuaJIT, nginx's globals for what runs in nginx alone, lines as in the rest of the project.

std = "luajit"
max_line_length = 120
files["resty/**/*.lua"] = { std = "luajit+ngx_lua" }
