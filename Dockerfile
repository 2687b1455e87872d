# Sealwright in a container: compiled in one image, run in another that needs no shell.
# Where no registry is at hand, deploy/stand-in-bases makes both.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build

# The dependencies with an empty program: a layer that only Cargo.toml and Cargo.lock renew.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked

# All that .dockerignore lets through. The sources may be older than the build above, and then
# cargo would take the empty program for the current one: hence the touch.
COPY . .
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked \
    && mkdir /data

FROM ${RUNTIME_IMAGE}

# An empty folder, copied because the base has no mkdir: a new volume takes over its owner.
COPY --from=build --chown=65532:65532 /data /var/lib/sealwright
COPY --from=build /build/LICENSE /usr/share/doc/sealwright/LICENSE
COPY --from=build /build/target/release/sealwright /usr/local/bin/sealwright

# Only where the data is. Which address is served, and that a proxy ends TLS before it, is for
# whoever runs the container to say; so are secrets.
ENV SEALWRIGHT_DATABASE__URL=sqlite:///var/lib/sealwright/sealwright.db
VOLUME /var/lib/sealwright
WORKDIR /var/lib/sealwright
USER 65532:65532
# Clients, and metrics: the latter stay on the container's own loopback unless told otherwise.
EXPOSE 3000 3001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/sealwright", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/sealwright"]
CMD ["serve"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sealwright" \
    org.opencontainers.image.description="OAuth 2.0 client-credentials token server for AI agents and other machines" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
