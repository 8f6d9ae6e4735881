# COPY: where things land, what they keep, what patterns take. One case a stage; helpers begin with `x-`.
# docker: chown-unknown-name, here it is an error
# docker: two-files-to-one, it is an error there
# docker: chmod-and-chown, flags once did not apply to directories and special bits
# docker: chmod-octal, likewise
# docker: chmod-parents, likewise
# docker: chmod-special, likewise
# docker: wildcard-with-chown, likewise
# docker: device-as-source, its tar exporter writes no devices
# docker: fifo-as-source, likewise
# docker: special-files-from-stage, likewise
# docker: special-files, likewise
# docker: dot-at-the-end, it took no notice of the dot
FROM base AS x-base
FROM scratch AS x-dest
COPY dir/one.txt /present/file
COPY bits/d1777 /present/sticky

FROM scratch AS file-to-root
COPY a.txt /
FROM scratch AS file-renamed
COPY a.txt /b
FROM scratch AS file-into-missing-directory
COPY a.txt /x/y/
FROM scratch AS file-to-missing-parents
COPY a.txt /x/y/z
FROM scratch AS two-files
COPY a.txt b.txt /d/
FROM scratch AS relative-without-workdir
COPY a.txt here
FROM scratch AS relative-to-workdir
WORKDIR /w/x
COPY a.txt ./
COPY b.txt sub/
COPY c.md ../up.md
FROM scratch AS dot-at-the-end
COPY a.txt /x/.
FROM scratch AS beyond-the-root
COPY a.txt /../../x
FROM scratch AS source-beyond-the-root
COPY ../../a.txt /x
FROM scratch AS directory-contents
COPY dir /d
FROM scratch AS directory-contents-slash
COPY dir/ /d/
FROM scratch AS directory-to-root
COPY dir /
FROM scratch AS directory-and-file
COPY dir a.txt /d/
FROM scratch AS empty-directory
COPY dir/void /v
FROM scratch AS empty-file
COPY empty /e
FROM scratch AS over-itself
COPY dir /d
COPY dir /d
FROM scratch AS merged-directories
COPY parents /d
COPY dir /d
FROM scratch AS existing-directory-keeps-its-mode
COPY bits/d0700 /d
COPY dir /d
FROM scratch AS subdirectory-takes-the-new-mode
COPY dir /d
COPY bits/d1777 /d/sub
COPY dir /d
FROM scratch AS file-replaced
COPY a.txt /f
COPY b.txt /f
FROM scratch AS file-replaced-by-link
COPY a.txt /links/up
COPY links/up /links/up
FROM scratch AS whole-context
COPY build /b

# Links.
FROM scratch AS link-followed
COPY to-file /f
FROM scratch AS link-to-link-followed
COPY to-to-file /f
FROM scratch AS link-to-directory-followed
COPY to-dir /d
FROM scratch AS through-a-link
COPY to-dir/one.txt /f
FROM scratch AS links-inside-are-kept
COPY links /l
FROM scratch AS link-in-destination
COPY links /l
COPY a.txt /l/to-dir/new
FROM scratch AS link-as-destination
COPY dir /dir
COPY links/to-dir /links/to-dir
COPY to-dir /l/
COPY a.txt /l/
FROM scratch AS dangling-link-as-destination
COPY links /l
COPY a.txt /l/dangling
FROM scratch AS absolute-link-in-destination
COPY links /l
COPY a.txt /l/absolute/x
FROM scratch AS link-out-of-the-root-as-destination
COPY links /l
COPY a.txt /l/out
FROM x-base AS directory-over-link
RUN mkdir -p /real && ln -s real /d
COPY dir /d
FROM x-base AS fails-directory-over-link-below
RUN mkdir -p /real /t && ln -s /real /t/sub
COPY dir /t
FROM x-base AS file-over-link-in-directory
RUN mkdir -p /t && echo old > /old && ln -s /old /t/one.txt
COPY dir /t
FROM scratch AS hard-links
COPY hard /h
FROM scratch AS hard-links-of-two-sources
COPY hard/first hard/second /h/
FROM scratch AS hard-links-from-stage
COPY --from=hard-links /h /again

# Bits, owners, kinds.
FROM scratch AS bits-are-kept
COPY bits /b
FROM scratch AS owners-become-root
COPY owned /o
FROM scratch AS chown-numbers
COPY --chown=5:6 dir /d
FROM scratch AS chown-user-only
COPY --chown=5 dir /d
FROM scratch AS chown-group-only
COPY --chown=:6 a.txt /f
FROM scratch AS chown-of-bits
COPY --chown=5:6 bits /b
FROM x-base AS chown-names
COPY --chown=nobody:nogroup dir /d
FROM x-base AS chown-name-and-number
COPY --chown=nobody:7 a.txt /f
FROM x-base AS chown-name-only
COPY --chown=nobody a.txt /f
FROM x-base AS chown-root-by-name
COPY --chown=root:root owned /o
FROM x-base AS chown-existing-directory
RUN mkdir -p /d/sub && chown 3:3 /d /d/sub
COPY --chown=5:6 dir /d
FROM scratch AS chown-parents
COPY --chown=5:6 a.txt /p/q/f
FROM scratch AS chmod-octal
COPY --chmod=0640 dir /d
FROM scratch AS chmod-special
COPY --chmod=6755 a.txt /f
FROM scratch AS chmod-parents
COPY --chmod=700 a.txt /p/q/f
FROM scratch AS chmod-and-chown
COPY --chmod=444 --chown=5:6 bits /b
FROM scratch AS special-files
COPY special /s
FROM scratch AS device-as-source
COPY special/null /n
FROM scratch AS fifo-as-source
COPY special/fifo /f
FROM scratch AS special-files-from-stage
COPY --from=special-files /s /t
FROM scratch AS attributes
COPY attributes /a
FROM scratch AS fails-chown-ids-beyond-31-bits
COPY --chown=3000000000:4000000000 a.txt /f
FROM scratch AS names
COPY names /n
FROM scratch AS name-with-space
COPY ["names/with space", "/with space/"]
FROM scratch AS name-unicode
COPY names/ünïcödé names/日本語 /ü/
FROM scratch AS name-with-star
COPY names/star\* /s/
FROM scratch AS name-with-brackets
COPY names/[[]brackets] /b/
FROM scratch AS name-with-dollar
COPY names/\$DOLLAR /d/

# Wildcards.
FROM scratch AS wildcard-star
COPY wild/a* /w/
FROM scratch AS wildcard-question
COPY wild/?1 /w/
FROM scratch AS wildcard-class
COPY wild/[ab]1 /w/
FROM scratch AS wildcard-range
COPY wild/[!a]1 wild/[a-b]2 /w/
FROM scratch AS wildcard-of-directories
COPY wild/a* wild/b* /w/
FROM scratch AS wildcard-in-the-middle
COPY wild/*/x /w/
FROM scratch AS wildcard-all
COPY wild/* /w/
FROM scratch AS wildcard-dot
COPY wild/.* /w/
FROM scratch AS wildcard-one-match
COPY wild/a?b* wild/b?* /w/
FROM scratch AS wildcard-one-file-to-name
COPY wild/a1* /name
FROM scratch AS wildcard-links
COPY to-* /w/
FROM scratch AS fails-wildcard-no-match
COPY wild/none* /w/
FROM scratch AS wildcard-some-match
COPY wild/none* wild/a1 /w/
FROM scratch AS wildcard-with-chown
COPY --chown=5:6 --chmod=600 wild/a* /w/

# From stages.
FROM scratch AS from-stage
COPY --from=directory-contents /d /e
FROM scratch AS from-stage-by-number
COPY --from=0 /etc/passwd /p
FROM scratch AS from-stage-root
COPY --from=chown-numbers / /all/
FROM scratch AS from-stage-keeps-owners
COPY --from=chown-of-bits /b /b
FROM scratch AS fails-from-stage-link
COPY --from=links-inside-are-kept /l/up /l/up
FROM scratch AS from-stage-absolute-link
COPY --from=x-base /bin/sh /sh
FROM scratch AS from-stage-wildcard
COPY --from=wildcard-all /w/a? /x/

# What cannot be.
FROM scratch AS fails-missing
COPY missing /
FROM scratch AS fails-missing-in-stage
COPY --from=directory-contents /missing /
FROM scratch AS fails-file-over-directory
COPY clash/file /c/name
COPY clash/dir /c
FROM scratch AS fails-directory-over-file
COPY clash/dir/name /c/file
COPY clash /c
FROM scratch AS fails-file-as-parent
COPY a.txt /f
COPY b.txt /f/x
FROM scratch AS fails-directory-to-file
COPY a.txt /f
COPY dir /f
FROM scratch AS two-files-to-one
COPY a.txt b.txt /f
FROM scratch AS fails-link-loop
COPY links/self /f
FROM scratch AS fails-dangling-source
COPY links/dangling /f
FROM scratch AS fails-chown-unknown-name-without-passwd
COPY --chown=who a.txt /f
FROM x-base AS chown-unknown-name
COPY --chown=who:what a.txt /f
