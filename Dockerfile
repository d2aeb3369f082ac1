# kraken_bids as a BIDS App. The same file builds on any engine that reads Dockerfiles.
#   docker build -t kraken_bids .                                       GPU-ready (run with --gpus all)
#   docker build --build-arg TORCH_INDEX_URL=<index of CPU wheels> ...  smaller, CPU only
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE} AS build
ARG TORCH_SPEC="torch==2.13.0"
ARG TORCH_INDEX_URL=""
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv && python3 -m venv /opt/build
COPY requirements /src/requirements
# everything is pinned with the digests of its files, also what builds wheels. torch first and alone: its
# layer is large and changes least. Its files differ between CPU and CUDA, so that a plain build takes
# any of that version; `make image` gives --build-arg TORCH_SPEC with their digests
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install ${TORCH_INDEX_URL:+--extra-index-url $TORCH_INDEX_URL} $TORCH_SPEC
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/pip install --no-deps --require-hashes -r /src/requirements/build.txt \
 && /opt/build/bin/pip wheel --no-deps --require-hashes --no-build-isolation --use-pep517 \
    --wheel-dir /tmp/wheels -r /src/requirements/image.txt \
 && /opt/venv/bin/pip install --no-deps --no-index /tmp/wheels/*.whl
COPY pyproject.toml README.md LICENSE /src/
COPY kraken_bids /src/kraken_bids
# there is no .git here: the version is given, else it is the fallback of pyproject.toml
ARG VERSION=""
RUN SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION" /opt/build/bin/pip wheel --no-deps --no-build-isolation \
    --wheel-dir /tmp/own /src \
 && /opt/venv/bin/pip install --no-deps --no-index /tmp/own/*.whl \
 && /opt/venv/bin/pip check

FROM ${BASE_IMAGE}
ARG VERSION="0.1.0.dev0"
ARG REVISION="unknown"
LABEL org.opencontainers.image.title="kraken_bids" \
      org.opencontainers.image.description="The Krakencoder as a BIDS App: connectomes from fMRIPrep and MRtrix outputs, translated between structure and function" \
      org.opencontainers.image.source="https://github.com/kraken-bids/kraken_bids" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.url="https://github.com/kraken-bids/kraken_bids" \
      org.opencontainers.image.documentation="https://github.com/kraken-bids/kraken_bids/tree/main/docs" \
      org.opencontainers.image.licenses="MIT"
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-distutils ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
# any user id, no home, read-only root: whatever a library caches goes to /tmp
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache \
    TORCH_HOME=/tmp/torch \
    KRAKEN_BIDS_DATA=/opt/kraken_bids_data
# the published model: mount its folder here (read-only will do), or COPY it in an image of your own
RUN mkdir -p /opt/kraken_bids_data && chmod 755 /opt/kraken_bids_data
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["/opt/venv/bin/kraken-bids"]
CMD ["--help"]
