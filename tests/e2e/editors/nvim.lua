-- What Neovim makes of the server: run as
--   nvim --headless -u NONE -i NONE -n -c 'luafile nvim.lua' Dockerfile
-- with the program in $LLBC and the plugin in $PLUGIN. Says "passed", or what failed, and exits accordingly.
local function fail(message)
  io.stdout:write(message .. "\n")
  vim.cmd("cquit 1")
end

local function check(condition, message)
  if not condition then
    fail(message)
  end
end

local function findings()
  local codes = {}
  for _, found in ipairs(vim.diagnostic.get(0)) do
    local code = found.code or (found.user_data and found.user_data.lsp and found.user_data.lsp.code)
    table.insert(codes, code .. ":" .. found.lnum)
  end
  table.sort(codes)
  return table.concat(codes, " ")
end

local function wait_for(expected)
  vim.wait(20000, function() return findings() == expected end, 20)
  check(findings() == expected, "findings are '" .. findings() .. "', not '" .. expected .. "'")
end

local function request(method, params)
  local answers, why = vim.lsp.buf_request_sync(0, method, params, 20000)
  check(answers, method .. ": " .. tostring(why))
  for _, answer in pairs(answers) do
    check(not answer.err, method .. ": " .. vim.inspect(answer.err))
    return answer.result
  end
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), "\n")
end

local ok, why = pcall(function()
  vim.opt.runtimepath:append(vim.env.PLUGIN)
  require("llbc").setup({ cmd = { vim.env.LLBC, "lsp" } })
  vim.bo.filetype = "dockerfile"
  wait_for("MaintainerDeprecated:2")

  -- An edit moves it, the next one mends it.
  vim.api.nvim_buf_set_lines(0, 0, 0, true, { "# note" })
  wait_for("MaintainerDeprecated:3")
  vim.api.nvim_buf_set_lines(0, 3, 4, true, { "  USER x  " })
  wait_for("")

  -- Hover, completion, symbols.
  vim.api.nvim_win_set_cursor(0, { 2, 1 })
  local hover = request("textDocument/hover", vim.lsp.util.make_position_params())
  check(hover.contents.value:find("Begins a stage"), vim.inspect(hover))
  vim.api.nvim_buf_set_lines(0, -1, -1, true, { "COPY --fr" })
  vim.api.nvim_win_set_cursor(0, { 5, 9 })
  local params = vim.lsp.util.make_position_params()
  params.position.character = 9
  local items = request("textDocument/completion", params).items
  check(#items == 1 and items[1].label == "--from", vim.inspect(items))
  vim.api.nvim_buf_set_lines(0, 4, 5, true, { "COPY --from=base a b" })
  local symbols = request("textDocument/documentSymbol", { textDocument = vim.lsp.util.make_text_document_params() })
  check(symbols[1].name == "base" and #symbols == 2, vim.inspect(symbols))

  -- A renaming, and formatting, as the editor applies them.
  vim.api.nvim_win_set_cursor(0, { 2, 16 })
  params = vim.lsp.util.make_position_params()
  params.newName = "first"
  vim.lsp.util.apply_workspace_edit(request("textDocument/rename", params), "utf-16")
  local format = { textDocument = vim.lsp.util.make_text_document_params(), options = { tabSize = 4, insertSpaces = true } }
  vim.lsp.util.apply_text_edits(request("textDocument/formatting", format), 0, "utf-16")
  local expected = "# note\nFROM scratch AS first\nFROM scratch\nUSER x\nCOPY --from=first a b"
  check(text() == expected, "the text is\n" .. text())
end)
if not ok then
  fail(tostring(why))
end
io.stdout:write("passed\n")
vim.cmd("qall!")
