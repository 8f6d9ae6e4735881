autocmd BufRead,BufNewFile *.hlb setfiletype hlb
