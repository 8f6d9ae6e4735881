# What instructions leave in the config and the history.
FROM base AS x-base

FROM scratch AS empty
FROM x-base AS nothing-added
FROM x-base AS environment
ENV A=1 B="two words" C=${A}x
ENV OLD style value
ENV A=2
FROM x-base AS labels
LABEL a=1 "b c"="d e" f=$PATH
LABEL a=2
FROM x-base AS entrypoint-and-command
ENTRYPOINT ["/e", "x"]
CMD ["a", "b"]
FROM x-base AS shell-entrypoint
ENTRYPOINT run me
CMD some args
FROM x-base AS command-then-entrypoint
CMD ["a"]
ENTRYPOINT ["/e"]
FROM entrypoint-and-command AS inherited-command-is-dropped
ENTRYPOINT ["/new"]
FROM x-base AS ports
EXPOSE 80 443/tcp 53/udp
FROM x-base AS volumes
VOLUME /a /b
VOLUME ["/c d"]
FROM x-base AS user
USER 5:6
FROM x-base AS workdir
WORKDIR /a
WORKDIR b
FROM x-base AS stop-signal
STOPSIGNAL SIGUSR1
FROM x-base AS health
HEALTHCHECK --interval=5s --timeout=3s --start-period=1s --retries=2 CMD curl -f localhost
FROM x-base AS health-none
HEALTHCHECK NONE
FROM x-base AS shell
SHELL ["/bin/sh", "-x", "-c"]
CMD echo hi
FROM x-base AS maintainer
MAINTAINER Some One <one@example.com>
FROM x-base AS arguments
ARG A=1
ARG B
ENV C=$A-$B
FROM x-base AS x-triggers
ONBUILD ENV T=1
ONBUILD COPY a.txt /triggered
ONBUILD RUN echo $T > /t
FROM x-triggers AS triggered
CMD ["x"]
FROM x-base AS triggers
ONBUILD COPY a.txt /triggered
FROM x-base AS mixed
ENV P=/opt
WORKDIR $P
COPY a.txt .
RUN cat a.txt > b
EXPOSE 1
USER nobody
CMD ["./b"]
FROM mixed AS on-top-of-it
RUN true
LABEL x=y
