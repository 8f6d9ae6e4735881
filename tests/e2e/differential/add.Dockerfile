# ADD: files as COPY takes them, and archives unpacked.
# docker: chown, --chmod once did not apply to directories
# docker: tar-chown, --chown once did not apply to archives
# docker: tar-wildcard, it knew no zstd
# docker: tar, its tar exporter writes no devices
# docker: tar-slash, its tar exporter writes no devices
# docker: tar-to-root, its tar exporter writes no devices
# docker: tar-to-missing-parents, its tar exporter writes no devices
# docker: tar-gzip, its tar exporter writes no devices
# docker: tar-bzip2, its tar exporter writes no devices
# docker: tar-xz, its tar exporter writes no devices
# docker: tar-by-content, its tar exporter writes no devices
# docker: tar-over-directory, its tar exporter writes no devices
# docker: tar-over-link, its tar exporter writes no devices
# docker: tar-into-link, its tar exporter writes no devices
# docker: tar-link-to-it, its tar exporter writes no devices
FROM base AS x-base

FROM scratch AS file
ADD a.txt /f
FROM scratch AS directory
ADD dir /d
FROM scratch AS wildcard
ADD wild/a* /w/
FROM scratch AS chown
ADD --chown=5:6 --chmod=640 dir /d
FROM scratch AS tar
ADD archives/plain.tar /t
FROM scratch AS tar-slash
ADD archives/plain.tar /t/
FROM scratch AS tar-to-root
ADD archives/plain.tar /
FROM scratch AS tar-to-missing-parents
ADD archives/plain.tar /x/y/z/
FROM scratch AS tar-gzip
ADD archives/plain.tar.gz /t
FROM scratch AS tar-bzip2
ADD archives/plain.tar.bz2 /t
FROM scratch AS tar-xz
ADD archives/plain.tar.xz /t
FROM scratch AS tar-by-content
ADD archives/misnamed.txt /t
FROM scratch AS tar-implied-directories
ADD archives/implied.tar /t
FROM scratch AS tar-chown
ADD --chown=7:8 archives/plain.tar /t
FROM scratch AS tar-over-directory
ADD dir /t/d
ADD archives/plain.tar /t
FROM x-base AS tar-over-link
RUN mkdir /real /t && ln -s /real /t/d
ADD archives/plain.tar /t
FROM x-base AS tar-into-link
RUN mkdir /real && ln -s /real /t
ADD archives/plain.tar /t
FROM x-base AS tar-file-over-directory
RUN mkdir -p /t/d/f/x && echo 1 > /t/d/f/x/y
ADD archives/implied.tar /t
FROM scratch AS tar-twice-the-same-name
ADD archives/twice.tar /t
FROM scratch AS tar-fraction-of-a-second
ADD archives/fraction.tar /t
FROM scratch AS tar-before-1970
ADD archives/before-1970.tar /t
FROM scratch AS tar-ustar
ADD archives/ustar.tar /t
FROM scratch AS tar-link-to-it
ADD archives/link.tar /t
FROM scratch AS tar-wildcard
ADD archives/plain.tar.* archives/misn* /t/
FROM scratch AS tar-and-file
ADD archives/implied.tar a.txt /t/
FROM scratch AS text-named-tar
ADD archives/text.tar /t
FROM scratch AS nothing-but-zeros
ADD archives/none.tar /t
FROM scratch AS copy-does-not-unpack
COPY archives/plain.tar /t
FROM scratch AS tar-with-whiteout-name
ADD archives/whiteout-name.tar /t
FROM scratch AS fails-tar-cut-off
ADD archives/cut.tar /t
FROM scratch AS fails-tar-over-file
ADD a.txt /t
ADD archives/plain.tar /t
