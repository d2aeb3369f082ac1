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
RUN python3 -m venv /opt/venv
# torch first and alone: its layer is large and changes least
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install ${TORCH_INDEX_URL:+--extra-index-url $TORCH_INDEX_URL} "$TORCH_SPEC"
COPY pyproject.toml README.md LICENSE constraints.txt /src/
COPY kraken_bids /src/kraken_bids
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --constraint /src/constraints.txt '/src[cluster,communities]'

FROM ${BASE_IMAGE}
ARG VERSION="0.1.0"
LABEL org.opencontainers.image.title="kraken_bids" \
      org.opencontainers.image.description="The Krakencoder as a BIDS App: connectomes from fMRIPrep and MRtrix outputs, translated between structure and function" \
      org.opencontainers.image.source="https://github.com/kraken-bids/kraken_bids" \
      org.opencontainers.image.version="${VERSION}" \
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
