# The daemon (the last stage, `run`) and, for laptops, the daemon with the fake AWS (`--target dev`).
#
#   docker build --build-arg BASE=python:3.12-slim --tag sidecar .
#
# BASE is any image with Python 3.11 or later, its venv module and a shell; only the stages that build use the shell.
# It has no default: whose images you trust is yours to say. docs/image.md has the rest: an index of your own, bit for
# bit the same images, what the daemon needs where it runs.
ARG BASE

# -- what is built once: wheels of the pins, the project's own, and an environment that holds what `run` needs

FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]

# No hash randomisation: the order of sets is written into compiled files. The time is that of hatchling.
ARG SOURCE_DATE_EPOCH=1580601600
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    PYTHONHASHSEED=0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_REQUIRE_HASHES=1 \
    PIP_NO_DEPS=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore

RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/sidecar
WORKDIR /src

# How this machine reaches its index (pip.conf, a CA) comes as secrets, and stays out of every layer.
COPY requirements/run.txt requirements/build.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/ca.pem \
    /tools/bin/python -m pip install --quiet --no-compile --requirement requirements/build.txt && \
    /tools/bin/python -m pip download --quiet --dest /wheels --requirement requirements/run.txt
RUN /tools/bin/python -m pip --python /opt/sidecar/bin/python install --quiet --no-compile \
    --no-index --find-links /wheels --requirement requirements/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY sidecar sidecar
RUN /tools/bin/python -m build --quiet --wheel --no-isolation --outdir /wheels && \
    for wheel in /wheels/secrets_sidecar-*.whl; do \
      sum=$(sha256sum "$wheel"); echo "$wheel --hash=sha256:${sum%% *}"; \
    done > own.txt && \
    /tools/bin/python -m pip --python /opt/sidecar/bin/python install --quiet --no-compile --no-index --requirement own.txt

# Compiled ahead, as the root file system is read-only, and never compared with sources that cannot change.
# The mount point belongs to the image's user, as does a volume that an engine makes of it.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/sidecar && \
    mkdir -p /volume/sidecar && \
    find /opt/sidecar /volume -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# -- the same environment with the fake AWS added

FROM build AS build-dev
COPY requirements/fake.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/ca.pem \
    /tools/bin/python -m pip download --quiet --dest /wheels --requirement requirements/fake.txt
RUN /tools/bin/python -m pip --python /opt/sidecar/bin/python install --quiet --no-compile \
      --no-index --find-links /wheels --requirement requirements/fake.txt && \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/sidecar && \
    find /opt/sidecar -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# -- what both images have in common; nothing runs in here, so it needs no shell

FROM ${BASE} AS common
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="Keeps an app's AWS secrets in memory and serves them over a Unix socket" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# A number, so that Kubernetes can see that it is not root (runAsNonRoot); no entry in /etc/passwd is needed.
COPY --from=build --chown=65532:65532 /volume/sidecar /run/sidecar
ENV PATH=/opt/sidecar/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
VOLUME /run/sidecar
EXPOSE 9102
ENTRYPOINT ["sidecar"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["sidecar", "status", "--ready"]

FROM common AS dev
COPY --from=build-dev /opt/sidecar /opt/sidecar
# The fake keeps a few files, and the root file system may be read-only.
ENV TMPDIR=/run/sidecar
CMD ["dev", "--socket", "/run/sidecar/sidecar.sock", "--seed", "/run/sidecar/sidecar.dev.yaml"]

FROM common AS run
COPY --from=build /opt/sidecar /opt/sidecar
CMD ["run"]
