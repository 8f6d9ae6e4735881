# RUN and the instructions around it: what a step sees, and what it leaves in its layer.
# docker: creates, its tar exporter writes no devices
# docker: environment, id lists other groups
# docker: user-and-workdir, id lists other groups
# docker: from-scratch, it leaves /etc behind
# docker: mount-bind-file, it leaves targets of mounts behind
# docker: mount-bind-from-stage, it leaves targets of mounts behind
# docker: mount-bind-writable, it leaves targets of mounts behind
# docker: mount-cache, it leaves targets of mounts behind
# docker: mount-cache-from, it leaves targets of mounts behind
# docker: mount-cache-owned, it leaves targets of mounts behind
# docker: mount-deep-target, it leaves targets of mounts behind
# docker: mount-deep-target-used, it leaves targets of mounts behind
# docker: mount-in-mount, it leaves targets of mounts behind
# docker: mount-tmpfs, it leaves targets of mounts behind
# docker: mount-bind, a bind mount could once be written to
FROM base AS x-base
FROM x-base AS x-old
RUN mkdir -p /o/a/b /o/c && echo 1 > /o/f && echo 2 > /o/a/f && echo 3 > /o/a/b/f && ln -s f /o/l && ln /o/f /o/h && chmod 4755 /o/a/f

FROM x-base AS creates
RUN mkdir -p /n/d && echo new > /n/d/f && ln -s f /n/d/l && mkfifo /n/p && mknod /n/c c 1 3 && chmod 1777 /n/d
FROM x-base AS changes-nothing
RUN true
FROM x-old AS removes-file
RUN rm /o/f
FROM x-old AS removes-directory
RUN rm -r /o/a
FROM x-old AS removes-link
RUN rm /o/l
FROM x-old AS directory-made-again
RUN rm -r /o/a && mkdir /o/a && echo other > /o/a/other
FROM x-old AS directory-becomes-file
RUN rm -r /o/a && echo file > /o/a
FROM x-old AS file-becomes-directory
RUN rm /o/f && mkdir /o/f && echo in > /o/f/in
FROM x-old AS link-becomes-directory
RUN rm /o/l && mkdir /o/l
FROM x-old AS renames-file
RUN mv /o/f /o/g
FROM x-old AS renames-directory
RUN mv /o/a /o/z
FROM x-old AS chmod-file
RUN chmod 600 /o/f
FROM x-old AS chmod-directory
RUN chmod 700 /o/a
FROM x-base AS chmod-directory-of-mount-points
RUN touch -d @1000000000 /etc
RUN chmod 711 /etc
FROM x-old AS chown-file
RUN chown 5:6 /o/a/f
FROM x-old AS touch-only
RUN touch -d @1000000000 /o/c
FROM x-old AS touch-file
RUN touch -d @1000000000 /o/f
FROM x-old AS rewrites-same-content
RUN cp -p /o/a/f /tmp/x && cat /tmp/x > /o/a/f && rm /tmp/x
FROM x-old AS breaks-hard-link
RUN echo more >> /o/h
FROM x-old AS removed-and-made-again-the-same
RUN rm /o/a/b/f && echo 3 > /o/a/b/f && touch -d @1000000000 /o/a/b/f
FROM x-old AS made-and-removed
RUN echo x > /o/x && rm /o/x
FROM x-old AS hard-link-to-lower-file
RUN ln /o/a/b/f /o/new-name
FROM x-old AS hard-links-in-one-layer
RUN echo 1 > /q && ln /q /o/q && ln /q /a-q
FROM x-old AS two-layers-of-removals
RUN rm /o/f
RUN rm -r /o/a && echo 1 > /o/f
FROM x-base AS sparse
RUN truncate -s 1M /s && mkdir /d && truncate -s 5000000 /d/t
FROM x-base AS long-names
RUN n=$(printf '%0200d' 1) && mkdir -p /$n/$n && echo l > /$n/$n/$n && ln -s /$n/$n/$n /l
FROM x-base AS odd-names
RUN mkdir '/a b' && echo 1 > '/a b/ü' && echo 2 > '/$x' && echo 3 > "$(printf '/new\nline')" && echo 4 > '/back\slash' && echo 5 > /.wh-like
FROM x-base AS ids-beyond-octal
RUN echo 1 > /f && chown 3000000:4000000 /f
FROM x-base AS sorted
RUN mkdir /s /s/a /s/a-b && touch /s/a.x /s/a/1 /s/ab /s/B /s/a-b/2

# What a step sees.
FROM x-base AS environment
ENV B=2 A=1
RUN env | grep -v -e OTEL -e TRACEPARENT | sort > /env && pwd > /pwd && id > /id && hostname > /host && cat /etc/hosts > /hosts && umask > /umask
FROM x-base AS user-and-workdir
WORKDIR /w
USER nobody
RUN id > /tmp/id; pwd > /tmp/pwd; echo $HOME > /tmp/home; touch /tmp/mine
FROM x-base AS user-by-number
USER 1234:5678
RUN id -u > /tmp/u; id -g > /tmp/g; touch /tmp/mine
FROM x-base AS workdir-of-user
USER nobody
WORKDIR /of/nobody
RUN pwd > /tmp/pwd
FROM x-base AS workdir-missing-is-made
WORKDIR /a/b
WORKDIR c
RUN pwd > /pwd
FROM x-base AS workdir-over-existing
RUN mkdir -p /x && chmod 700 /x
WORKDIR /x/y
FROM x-base AS fails-shell-form
SHELL ["/bin/sh", "-ec"]
RUN false; echo never > /never || true
FROM x-base AS exec-form
RUN ["/bin/sh", "-c", "echo \"$0\" \"$1\" > /args", "zero", "one"]
FROM x-base AS arguments
ARG X=given
ARG Y
RUN echo "$X-$Y-" > /args
FROM x-base AS limits-of-files-in-proc
RUN mount | grep -c ' /proc' > /dev/null; ls /dev | grep -v otel | sort > /dev-list; test -w /sys || echo ro > /sys-state; grep -i '^cap' /proc/self/status > /caps; grep -i '^seccomp:' /proc/self/status > /seccomp; grep -i nonewprivs /proc/self/status > /nnp

# Mounts.
FROM x-base AS mount-bind
RUN --mount=type=bind,source=dir,target=/m ls /m | sort > /seen; ! touch /m/x 2>/dev/null
FROM x-base AS mount-bind-file
RUN --mount=type=bind,source=a.txt,target=/m/a cat /m/a > /seen
FROM x-base AS mount-bind-writable
RUN --mount=type=bind,source=dir,target=/m,rw echo new > /m/one.txt && cat /m/one.txt > /seen
FROM x-base AS mount-bind-from-stage
RUN --mount=type=bind,from=x-old,source=/o/a,target=/m cat /m/f /m/b/f > /seen
FROM x-base AS mount-bind-over-existing
RUN mkdir /m && echo below > /m/below
RUN --mount=type=bind,source=dir,target=/m ls /m | sort > /seen
FROM x-base AS mount-cache
RUN --mount=type=cache,target=/c,id=differential-cache echo cached > /c/f
RUN --mount=type=cache,target=/c,id=differential-cache cat /c/f > /seen; ls -d /c
FROM x-base AS mount-cache-owned
RUN --mount=type=cache,target=/c,id=differential-owned,uid=5,gid=6,mode=0700 stat -c '%a %u:%g' /c > /seen
FROM x-base AS mount-cache-from
RUN --mount=type=cache,target=/c,id=differential-from,from=x-old,source=/o ls /c | sort > /seen
FROM x-base AS mount-tmpfs
RUN --mount=type=tmpfs,target=/t echo 1 > /t/f && grep -c ' /t tmpfs ' /proc/mounts > /seen
FROM x-base AS mount-deep-target
RUN --mount=type=tmpfs,target=/x/y/z true
FROM x-base AS mount-deep-target-used
RUN --mount=type=tmpfs,target=/x/y/z echo kept > /x/kept
FROM x-base AS mount-secret-missing
RUN --mount=type=secret,id=none cat /run/secrets/none 2>/dev/null || echo none > /seen
FROM x-base AS mount-in-mount
RUN --mount=type=tmpfs,target=/t --mount=type=bind,source=dir,target=/t/d ls /t/d | sort > /seen
FROM x-base AS writes-resolv-conf
RUN (echo x >> /etc/resolv.conf) 2>/dev/null; (echo x >> /etc/hosts) 2>/dev/null; ls /etc | sort > /seen
FROM x-base AS empties-dev
RUN echo x > /dev/shm/x; touch /dev/mine 2>/dev/null; true
FROM scratch AS from-scratch
COPY --from=x-base /bin/busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "/made"]

# What cannot be.
FROM x-base AS fails-exit-code
RUN exit 3
FROM x-base AS fails-missing-program
RUN ["/no/such/program"]
FROM x-base AS fails-not-executable
RUN ["/etc/passwd"]
FROM x-base AS fails-unknown-user
USER who
RUN true
FROM x-base AS fails-killed
RUN kill -9 $$
FROM x-base AS fails-workdir-is-a-file
RUN echo 1 > /w
WORKDIR /w
RUN true
FROM x-base AS fails-missing-mount-source
RUN --mount=type=bind,source=missing,target=/m true
FROM x-base AS fails-required-secret
RUN --mount=type=secret,id=none,required=true true
