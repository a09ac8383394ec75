# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
# The compiler is of the base image's Debian release, whatever version that has today.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The wheel alone goes on: neither the compiler nor Cython is in the image. Sources are compiled to bytecode that is
# never checked against them, since the image's file system may be read-only.
RUN python -m venv /opt/pyralog \
 && python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m pip --python /opt/pyralog/bin/python install --no-cache-dir --no-compile /wheels/*.whl \
 && python -m pip --python /opt/pyralog/bin/python uninstall --yes pip \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pyralog/lib

FROM python:3.13-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Pyralog" \
      org.opencontainers.image.description="A Kafka-compatible log broker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/pyralog/pyralog" \
      org.opencontainers.image.documentation="https://github.com/pyralog/pyralog/blob/main/docs/INSTALL.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 pyralog \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin pyralog \
 && install -d -o 10001 -g 10001 -m 0750 /data \
 && install -d /docker-entrypoint-init.d
COPY --from=build /opt/pyralog /opt/pyralog
COPY packaging/container/config.yaml /etc/pyralog/config.yaml
COPY packaging/container/docker-entrypoint.sh /docker-entrypoint.sh
ENV PATH="/opt/pyralog/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 9092 9093 9093/udp
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["pyralog-admin", "health", "--local"]
# Starts as root to give an empty /data to user 10001, as which the broker then runs; or at once with --user 10001.
ENTRYPOINT ["/docker-entrypoint.sh"]
