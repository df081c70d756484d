# A static binary and nothing else, compiled with a profile of itself. Built for the platform that is
# asked for:
#   docker build -t countersign .
#   docker buildx build --platform linux/amd64,linux/arm64 -t countersign .
# RUST_IMAGE: any image with Rust 1.95, its component llvm-tools or rustup to add it, and a C compiler.
ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm

FROM ${RUST_IMAGE} AS build
# amd64 or arm64; buildx and buildah set it from --platform. Empty: the machine's own.
ARG TARGETARCH
# `none`: without a profile, where llvm-tools cannot be had.
ARG PROFILE=run
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY config config
COPY deploy/build.sh deploy/build.sh
COPY src src
COPY tests/load/training.rs tests/load/training.rs
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The packages are whichever the base image's release has.
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/cargo --mount=type=cache,target=/usr/local/cargo/registry \
    case "${TARGETARCH:-$(uname -m)}" in \
      amd64|x86_64) arch=x86_64 ;; \
      arm64|aarch64) arch=aarch64 ;; \
      *) echo "TARGETARCH=${TARGETARCH}: build for amd64 or arm64" >&2; exit 1 ;; \
    esac; \
    target="${arch}-unknown-linux-gnu"; \
    if [ "${arch}" != "$(uname -m)" ]; then \
      rustup target add "${target}"; \
      apt-get update -qq; \
      apt-get install -y -qq --no-install-recommends "gcc-${arch/_/-}-linux-gnu" "libc6-dev-${TARGETARCH}-cross"; \
      rm -rf /var/lib/apt/lists/*; \
      export "CARGO_TARGET_${arch^^}_UNKNOWN_LINUX_GNU_LINKER=${arch}-linux-gnu-gcc"; \
      export "CC_${arch}_unknown_linux_gnu=${arch}-linux-gnu-gcc"; \
    fi; \
    export CARGO_TARGET_DIR=/var/cache/cargo/target; \
    PROFILE="${PROFILE}" deploy/build.sh "${target}"; \
    cp "/var/cache/cargo/target/${target}/release/countersign" /countersign; \
    mkdir -p /home/nonroot

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.description="Call IAM-protected Lambda Function URLs from anything that speaks plain HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The AWS chain looks for ~/.aws, which may be mounted here.
ENV HOME=/home/nonroot
COPY --from=build --chown=65532:65532 /home/nonroot /home/nonroot
COPY --from=build /countersign /countersign
# A number, so that Kubernetes' runAsNonRoot can tell.
USER 65532:65532
EXPOSE 8480 8481
# ECS reads the task definition's instead; Kubernetes reads its own probes.
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s --retries=3 CMD ["/countersign", "health"]
ENTRYPOINT ["/countersign"]
