# The daemon alone: no compiler, no development tools, no root. docker-compose.yml runs it with a volume.
ARG PYTHON=3.12-slim

FROM python:${PYTHON} AS build
WORKDIR /build
COPY requirements/runtime.txt requirements/dev.txt requirements/
# Requirements first, so that a change of ours does not install them again; the build backend is locked in dev.txt.
RUN python -m venv /opt/eternal-engine/.venv \
    && /opt/eternal-engine/.venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
    && awk '/^setuptools==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements/dev.txt > build.txt \
    && python -m pip install --no-cache-dir --require-hashes -r build.txt
COPY pyproject.toml MANIFEST.in README.md ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation -w dist . \
    && /opt/eternal-engine/.venv/bin/python -m pip install --no-cache-dir --no-deps dist/*.whl \
    && /opt/eternal-engine/.venv/bin/python -m compileall -q -j 0 /opt/eternal-engine/.venv/lib

FROM python:${PYTHON}
RUN groupadd --gid 10001 eternal-engine \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/eternal-engine --no-create-home --shell /usr/sbin/nologin \
        eternal-engine \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/eternal-engine
COPY --from=build /opt/eternal-engine /opt/eternal-engine
COPY config /etc/eternal-engine/config
ENV PATH=/opt/eternal-engine/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ETERNAL_CONFIG_DIR=/etc/eternal-engine/config \
    ETERNAL_PATHS__CACHE_DIR=/var/lib/eternal-engine/cache \
    MODE=paper
USER 10001:10001
WORKDIR /var/lib/eternal-engine
VOLUME /var/lib/eternal-engine
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s --retries=3 \
    CMD ["sh", "-c", "eternal status --mode \"$MODE\" --json --require-running > /dev/null"]
# The shell gives its place to the daemon, which is then told to stop by Docker itself.
CMD ["sh", "-c", "exec eternal run --mode \"$MODE\""]
