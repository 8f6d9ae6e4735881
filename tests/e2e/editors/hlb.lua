-- A program of HLB in Neovim; run like nvim.lua.
local it = dofile(vim.env.SCRIPTS .. "/common.lua")

it.run("hlb", function()
  it.wait_for("check:1")

  -- An edit moves it, the next one mends it.
  vim.api.nvim_buf_set_lines(0, 0, 0, true, { "# note" })
  it.wait_for("check:2")
  vim.api.nvim_buf_set_lines(0, 2, 3, true, { "\tbase" })
  it.wait_for("")

  local hover = it.hover(3, 2)
  it.check(hover:find("fs base"), hover)
  vim.api.nvim_buf_set_lines(0, 3, 3, true, { "\tbas" })
  local labels = it.labels_at_end(4)
  it.check(vim.tbl_contains(labels, "base"), vim.inspect(labels))
  vim.api.nvim_buf_set_lines(0, 3, 4, true, { "\trun   \"make\"" })

  it.rename(3, 2, "first")
  it.format()
  local expected = "# note\nfs default() {\n\tfirst\n\trun \"make\"\n}\n\nfs first() {\n\timage \"alpine\"\n}"
  it.check(it.text() == expected, "the text is\n" .. it.text())
end)
