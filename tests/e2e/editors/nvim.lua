-- What Neovim makes of the server: run as
--   nvim --headless -u NONE -i NONE -n -c 'luafile nvim.lua' Dockerfile
-- with the program in $LLBC, the plugin in $PLUGIN and this directory in $SCRIPTS. Says "passed", or what failed, and exits
-- accordingly.
local it = dofile(vim.env.SCRIPTS .. "/common.lua")

it.run("dockerfile", function()
  it.wait_for("MaintainerDeprecated:2")

  -- An edit moves it, the next one mends it.
  vim.api.nvim_buf_set_lines(0, 0, 0, true, { "# note" })
  it.wait_for("MaintainerDeprecated:3")
  vim.api.nvim_buf_set_lines(0, 3, 4, true, { "  USER x  " })
  it.wait_for("")

  -- Hover, completion, symbols.
  local hover = it.hover(2, 1)
  it.check(hover:find("Begins a stage"), hover)
  vim.api.nvim_buf_set_lines(0, -1, -1, true, { "COPY --fr" })
  local labels = it.labels_at_end(5)
  it.check(#labels == 1 and labels[1] == "--from", vim.inspect(labels))
  vim.api.nvim_buf_set_lines(0, 4, 5, true, { "COPY --from=base a b" })
  local document = { textDocument = vim.lsp.util.make_text_document_params() }
  local symbols = it.request("textDocument/documentSymbol", document)
  it.check(symbols[1].name == "base" and #symbols == 2, vim.inspect(symbols))

  -- A renaming, and formatting, as the editor applies them.
  it.rename(2, 16, "first")
  it.format()
  local expected = "# note\nFROM scratch AS first\nFROM scratch\nUSER x\nCOPY --from=first a b"
  it.check(it.text() == expected, "the text is\n" .. it.text())
end)
