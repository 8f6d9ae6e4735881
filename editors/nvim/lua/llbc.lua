-- Starts `llbc lsp` for build files. Neovim 0.7 and later; no dependencies.
--
--   require("llbc").setup({ cmd = { "llbc", "lsp" }, settings = {}, on_attach = function(client, buffer) end })
local M = {}

M.filetypes = { "dockerfile", "hlb", "toml" }

--- Whether a buffer is a build file: of TOML there are many others.
local function is_build_file(buffer)
  local name = vim.api.nvim_buf_get_name(buffer)
  return not name:match("%.toml$") or name:match("[/.]build%.toml$") ~= nil
end

--- The directory that settings are looked for in: the nearest one above with a mark, else the file's.
local function root(buffer)
  local file = vim.api.nvim_buf_get_name(buffer)
  local directory = vim.fn.fnamemodify(file ~= "" and file or vim.fn.getcwd() .. "/x", ":p:h")
  local start = directory
  while true do
    for _, mark in ipairs({ "llbc.toml", ".git" }) do
      if vim.loop.fs_stat(directory .. "/" .. mark) then
        return directory
      end
    end
    local parent = vim.fn.fnamemodify(directory, ":h")
    if parent == directory then
      return start
    end
    directory = parent
  end
end

-- Clients by root, for versions without `vim.lsp.start`.
local clients = {}

function M.attach(buffer, options)
  local config = {
    name = "llbc",
    cmd = options.cmd or { "llbc", "lsp" },
    root_dir = root(buffer),
    init_options = options.settings or vim.empty_dict(),
    on_attach = options.on_attach,
    capabilities = options.capabilities,
  }
  config.workspace_folders = { { uri = vim.uri_from_fname(config.root_dir), name = config.root_dir } }
  if vim.lsp.start then
    vim.lsp.start(config, { bufnr = buffer })
    return
  end
  if not clients[config.root_dir] or vim.lsp.client_is_stopped(clients[config.root_dir]) then
    clients[config.root_dir] = vim.lsp.start_client(config)
  end
  vim.lsp.buf_attach_client(buffer, clients[config.root_dir])
end

function M.setup(options)
  options = options or {}
  vim.api.nvim_create_autocmd("FileType", {
    pattern = M.filetypes,
    group = vim.api.nvim_create_augroup("llbc", { clear = true }),
    callback = function(event)
      local buffer = event.buf or vim.api.nvim_get_current_buf()
      if is_build_file(buffer) then
        M.attach(buffer, options)
      end
    end,
  })
end

return M
