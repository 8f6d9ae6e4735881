-- What scripts for Neovim have in common: waiting for findings, asking, and saying how it went.
local M = {}

function M.fail(message)
  io.stdout:write(message .. "\n")
  vim.cmd("cquit 1")
end

function M.check(condition, message)
  if not condition then
    M.fail(message)
  end
end

function M.findings()
  local codes = {}
  for _, found in ipairs(vim.diagnostic.get(0)) do
    local code = found.code or (found.user_data and found.user_data.lsp and found.user_data.lsp.code)
    table.insert(codes, code .. ":" .. found.lnum)
  end
  table.sort(codes)
  return table.concat(codes, " ")
end

function M.wait_for(expected)
  vim.wait(20000, function() return M.findings() == expected end, 20)
  M.check(M.findings() == expected, "findings are '" .. M.findings() .. "', not '" .. expected .. "'")
end

function M.request(method, params)
  local answers, why = vim.lsp.buf_request_sync(0, method, params, 20000)
  M.check(answers, method .. ": " .. tostring(why))
  for _, answer in pairs(answers) do
    M.check(not answer.err, method .. ": " .. vim.inspect(answer.err))
    return answer.result
  end
end

function M.text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), "\n")
end


--- Completion labels at the end of a line (from 1) of the buffer.
function M.labels_at_end(line)
  local text = vim.api.nvim_buf_get_lines(0, line - 1, line, true)[1]
  vim.api.nvim_win_set_cursor(0, { line, math.max(#text - 1, 0) })
  local params = vim.lsp.util.make_position_params()
  params.position.character = #text
  local labels = {}
  for _, item in ipairs(M.request("textDocument/completion", params).items) do
    table.insert(labels, item.label)
  end
  return labels
end

--- Renames what stands at a place (line from 1, column from 0) as the editor does.
function M.rename(line, column, name)
  vim.api.nvim_win_set_cursor(0, { line, column })
  local params = vim.lsp.util.make_position_params()
  params.newName = name
  vim.lsp.util.apply_workspace_edit(M.request("textDocument/rename", params), "utf-16")
end

--- Puts the buffer in order as the editor does.
function M.format()
  local params = { textDocument = vim.lsp.util.make_text_document_params(), options = { tabSize = 4, insertSpaces = true } }
  vim.lsp.util.apply_text_edits(M.request("textDocument/formatting", params), 0, "utf-16")
end

--- The text of the hover at a place (line from 1, column from 0).
function M.hover(line, column)
  vim.api.nvim_win_set_cursor(0, { line, column })
  local found = M.request("textDocument/hover", vim.lsp.util.make_position_params())
  return found and found.contents.value or ""
end

--- Runs a script with the plugin, and says "passed", or what failed.
function M.run(filetype, script)
  local ok, why = pcall(function()
    vim.opt.runtimepath:append(vim.env.PLUGIN)
    require("llbc").setup({ cmd = { vim.env.LLBC, "lsp" } })
    vim.bo.filetype = filetype
    script()
  end)
  if not ok then
    M.fail(tostring(why))
  end
  io.stdout:write("passed\n")
  vim.cmd("qall!")
end

return M
