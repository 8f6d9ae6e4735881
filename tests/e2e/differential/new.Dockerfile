# docker: no, its frontend is older than these
FROM base AS x-base
FROM scratch AS x-dest
COPY dir/one.txt /present/file

# COPY --chmod, symbolic.
FROM scratch AS chmod-symbolic
COPY --chmod=u=rwX,go=rX bits /b
FROM scratch AS chmod-symbolic-add
COPY --chmod=g+w,o-rwx dir /d
FROM scratch AS chmod-symbolic-setuid
COPY --chmod=u+s,+t bits /b
FROM scratch AS chmod-symbolic-copy
COPY --chmod=g=u dir /d
FROM scratch AS chmod-symbolic-parents
COPY --chmod=go-rwx a.txt /p/q/f

# COPY --parents.
FROM scratch AS parents-file
COPY --parents parents/x/y/two /out/
FROM scratch AS parents-several
COPY --parents parents/x/one parents/x/y/z/three /out/
FROM scratch AS parents-wildcard
COPY --parents parents/*/one parents/x/*/two /out/
FROM scratch AS parents-double-star
COPY --parents parents/**/t* /out/
FROM scratch AS parents-pivot
COPY --parents parents/x/./y/two /out/
FROM scratch AS parents-pivot-at-start
COPY --parents ./parents/w/four /out/
FROM scratch AS parents-directory
COPY --parents parents/x/y /out/
FROM scratch AS parents-of-stage
COPY --parents --from=parents-several /out/parents/x/one /again/
FROM scratch AS parents-chown-chmod
COPY --parents --chown=5:6 --chmod=600 parents/x/y/two /out/
FROM scratch AS parents-several-chmod
COPY --parents --chmod=4711 --chown=5:6 parents/x/one parents/x/y/z/three /out/
FROM scratch AS parents-of-others
COPY --parents --chown=5:6 --chmod=go= parents/x/one /out/
COPY --parents parents/x/y/two /out/
FROM scratch AS fails-parents-through-link
COPY --parents to-dir/one.txt /out/

# COPY --exclude.
FROM scratch AS exclude
COPY --exclude=*.log build /b
FROM scratch AS exclude-several
COPY --exclude=**/*.log --exclude=node_modules build /b
FROM scratch AS exclude-directory
COPY --exclude=sub dir /d
FROM scratch AS exclude-all-but
COPY --exclude=** --exclude=!keep/k.txt build /b
FROM scratch AS exclude-with-wildcard
COPY --exclude=a2 wild/* /w/
FROM scratch AS exclude-with-parents
COPY --parents --exclude=**/two parents/x /out/
FROM scratch AS exclude-everything
COPY --exclude=* dir /d
FROM scratch AS add-exclude
ADD --exclude=*.md dir /d

# --link.
FROM x-dest AS link-file
COPY --link a.txt /f
FROM x-dest AS link-into-directory
COPY --link a.txt /present/
FROM x-dest AS link-chown
COPY --link --chown=5:6 dir /d
FROM x-dest AS link-twice
COPY --link a.txt /one
COPY --link b.txt /two
FROM x-dest AS link-over-file
COPY --link b.txt /present/file
FROM x-dest AS link-then-run-free
COPY --link dir /d
COPY a.txt /d/new
FROM x-base AS link-then-run
COPY --link a.txt /l
RUN cat /l > /seen
FROM x-base AS link-chown-by-name-of-number
COPY --link --chown=1:2 a.txt /l
FROM x-base AS link-over-link
RUN mkdir /real && ln -s real /dirlink
COPY --link a.txt /dirlink/
FROM x-base AS link-from-stage
COPY --link --from=x-dest /present /p
FROM x-base AS add-link-tar
ADD --link archives/plain.tar /t
FROM x-base AS workdir-then-link
WORKDIR /w
COPY --link a.txt .

# Heredocs.
FROM scratch AS heredoc-file
COPY <<EOF /f
one
two $HOME
EOF
FROM scratch AS heredoc-literal
COPY <<"EOF" /f
$HOME \n
EOF
FROM scratch AS heredoc-tabs
COPY <<-EOF /f
	stripped
	  two
	EOF
FROM scratch AS heredoc-two-files
COPY <<one <<two /d/
1
one
2
two
FROM scratch AS heredoc-chmod
COPY --chmod=755 --chown=3:4 <<EOF /f
x
EOF
FROM scratch AS heredoc-and-file
COPY a.txt <<EOF /d/
x
EOF
FROM scratch AS heredoc-add
ADD <<EOF /f
x
EOF
FROM x-base AS heredoc-run
RUN <<EOF
echo 1 > /a
echo 2 > /b
EOF
FROM x-base AS heredoc-run-interpreter
RUN <<EOF sh -e
echo $0 > /name
EOF
FROM x-base AS heredoc-run-shebang
RUN <<EOF
#!/bin/sh
echo "from $0" > /s
EOF
FROM x-base AS heredoc-run-into-command
RUN cat <<EOF > /out
kept
EOF

# The rest.
FROM scratch AS add-no-unpack
ADD --unpack=false archives/plain.tar.gz /t
FROM scratch AS add-unpack
ADD --unpack=true archives/misnamed.txt /t
FROM scratch AS tar-zstd
ADD archives/plain.tar.zst /t
FROM x-base AS network-none
RUN --network=none ls /sys/class/net | sort > /n
FROM x-base AS mount-secret-env
RUN --mount=type=secret,id=none,env=SECRET,required=false echo "[$SECRET]" > /s
FROM x-base AS mount-bind-variable
ARG FROM_DIR=dir
RUN --mount=type=bind,source=$FROM_DIR,target=/m ls /m | sort > /seen
FROM x-base AS workdir-relative-first
WORKDIR rel/ative
FROM x-base AS copy-relative-to-workdir-link
WORKDIR /w
COPY --link a.txt b.txt sub/
FROM scratch AS fails-parents-missing
COPY --parents parents/none /out/
FROM scratch AS fails-exclude-pattern
COPY --exclude=[ dir /d
FROM scratch AS fails-chmod-word
COPY --chmod=z+q a.txt /f
