/* Runs a Lua program: numbers, strings, tables, closures, coroutines, and Lua's own compiler. */
#include "program.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static const char script[] =
	"local scale = ...\n"
	"local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end\n"
	"local function sieve(n)\n"
	"  local composite, count = {}, 0\n"
	"  for i = 2, n do\n"
	"    if not composite[i] then count = count + 1 for k = i * i, n, i do composite[k] = true end end\n"
	"  end\n"
	"  return count\n"
	"end\n"
	"local function words(n)\n"
	"  local counts, seed = {}, 42\n"
	"  for i = 1, n do\n"
	"    seed = (seed * 1103515245 + 12345) % 2147483648\n"
	"    local word = string.format('w%d', seed % 500)\n"
	"    counts[word] = (counts[word] or 0) + 1\n"
	"  end\n"
	"  local list = {}\n"
	"  for word, count in pairs(counts) do list[#list + 1] = word .. '=' .. count end\n"
	"  table.sort(list)\n"
	"  return table.concat(list, ' ')\n"
	"end\n"
	"local function orbit(n)\n"
	"  local x, y, u, v = 1.0, 0.0, 0.0, 1.0\n"
	"  for i = 1, n do\n"
	"    local r = math.sqrt(x * x + y * y)\n"
	"    local a = -0.001 / (r * r * r)\n"
	"    u, v = u + a * x, v + a * y\n"
	"    x, y = x + 0.001 * u, y + 0.001 * v\n"
	"  end\n"
	"  return string.format('%.6f %.6f', x, y)\n"
	"end\n"
	"local function queens(n)\n"
	"  local found, columns, up, down = 0, {}, {}, {}\n"
	"  local function place(row)\n"
	"    if row > n then found = found + 1 return end\n"
	"    for c = 1, n do\n"
	"      if not columns[c] and not up[row + c] and not down[row - c] then\n"
	"        columns[c], up[row + c], down[row - c] = true, true, true\n"
	"        place(row + 1)\n"
	"        columns[c], up[row + c], down[row - c] = nil, nil, nil\n"
	"      end\n"
	"    end\n"
	"  end\n"
	"  place(1)\n"
	"  return found\n"
	"end\n"
	"local function generated(n)\n"
	"  local co, total = coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end), 0\n"
	"  for i = 1, n do total = total + co() end\n"
	"  for i = 1, n // 20 do total = total + load('local a = ' .. i .. ' return (a * 3 + 1) % 17')() end\n"
	"  return total\n"
	"end\n"
	"local function matches(text)\n"
	"  local n = 0\n"
	"  for key, value in text:gmatch('(w%d+)=(%d+)') do if #key > 3 then n = n + tonumber(value) end end\n"
	"  return n, #text:gsub('w', 'word')\n"
	"end\n"
	"local result = ''\n"
	"for round = 1, scale do\n"
	"  local text = words(20000 + round)\n"
	"  result = fib(22) .. ' ' .. sieve(40000) .. ' ' .. #text .. ' ' .. orbit(60000) .. ' ' .. queens(7) .. ' '\n"
	"    .. generated(10000) .. ' ' .. table.concat({matches(text)}, ' ')\n"
	"end\n"
	"return result\n";

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 40);
	lua_State* state = luaL_newstate();
	if (state == NULL)
		return 1;
	luaL_requiref(state, LUA_GNAME, luaopen_base, 1);
	luaL_requiref(state, LUA_TABLIBNAME, luaopen_table, 1);
	luaL_requiref(state, LUA_STRLIBNAME, luaopen_string, 1);
	luaL_requiref(state, LUA_MATHLIBNAME, luaopen_math, 1);
	luaL_requiref(state, LUA_COLIBNAME, luaopen_coroutine, 1);
	lua_settop(state, 0);
	if (luaL_loadstring(state, script) == LUA_OK) {
		lua_pushinteger(state, scale);
		if (lua_pcall(state, 1, 1, 0) == LUA_OK) {
			printf("lua %s\n", lua_tostring(state, -1));
			lua_close(state);
			return 0;
		}
	}
	fprintf(stderr, "lua: %s\n", lua_tostring(state, -1));
	return 2;
}
