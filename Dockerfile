# syntax=docker/dockerfile:1
# The program alone, statically linked, in an image that holds nothing else.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) --tag bulla .
#
# The image to build in is named by its version. For a build that can be repeated to the byte name it by its digest, too; which one is
# current is for whoever builds to look up and to keep:
#
#   docker build --build-arg BUILD_IMAGE=rust:1.95.0-slim-bookworm@sha256:… .
#
# How the program is built, and how it is proved that it runs where there is nothing else: deploy/static.sh.
# What was not tried: building this image. docs/install.md says what was.
ARG BUILD_IMAGE=rust:1.95.0-slim-bookworm

FROM ${BUILD_IMAGE} AS build
# For aws-lc, which is built from source; and the certificates of public authorities.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    deploy/static.sh build /bulla

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bulla" \
      org.opencontainers.image.description="SealedSecrets of a cluster become Secrets; the command line for those who seal and encrypt" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /source/LICENSE /LICENSE
COPY --from=build /bulla /bulla
# Nobody in particular; deploy/kustomize says the same.
USER 1001:1001
EXPOSE 8080 8081
ENTRYPOINT ["/bulla"]
CMD ["controller"]
