-- A build.toml in Neovim; run like nvim.lua.
local it = dofile(vim.env.SCRIPTS .. "/common.lua")

it.run("toml", function()
  it.wait_for("instruction:2")

  -- An edit moves it, the next one mends it.
  vim.api.nvim_buf_set_lines(0, 0, 0, true, { "# note" })
  it.wait_for("instruction:3")
  vim.api.nvim_buf_set_lines(0, 3, 4, true, { "workdir=\"/srv\"" })
  it.wait_for("")

  local hover = it.hover(4, 2)
  it.check(#hover > 0, "nothing is said of a key")
  vim.api.nvim_buf_set_lines(0, 4, 4, true, { "us" })
  local labels = it.labels_at_end(5)
  it.check(vim.tbl_contains(labels, "user"), vim.inspect(labels))
  vim.api.nvim_buf_set_lines(0, 4, 5, true, { "user = \"1000\"" })

  it.rename(2, 7, "first")
  it.format()
  local expected = "# note\n[stage.first]\nfrom = \"alpine\"\nworkdir = \"/srv\"\nuser = \"1000\"\n[image.app]\nfrom = \"stage.first\""
  it.check(it.text() == expected, "the text is\n" .. it.text())
end)
