# A static binary on Alpine. Each architecture is built by a builder of its own (`--platform
# linux/amd64,linux/arm64`); nothing here names one.
#
# Time zones are in the binary (jiff's copy of tzdata), so the image needs none.
ARG RUST_IMAGE=rust:1.95-alpine3.23
ARG BASE_IMAGE=alpine:3.23
# `dist` is small and takes minutes; `release` and `dev` are sooner built and larger.
ARG PROFILE=dist

# The manifests alone: what follows is built anew only when one of them changes.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /build
COPY . .
RUN for manifest in Cargo.toml crates/*/Cargo.toml; do \
        package="/manifests/${manifest%Cargo.toml}" \
        && mkdir -p "${package}src" \
        && cp "$manifest" "$package" \
        && : > "${package}src/lib.rs" || exit 1; \
    done \
    && cp -r Cargo.lock benches /manifests/ \
    && echo 'fn main() {}' > /manifests/src/main.rs

FROM ${RUST_IMAGE} AS dependencies
ARG PROFILE
# Alpine's Rust links statically anyway; with this, so does one on glibc. With a `--target`, even the
# builder's own, it is not asked of procedural macros, which can't be static.
ENV RUSTFLAGS="-C target-feature=+crt-static"
ENV CARGO_INCREMENTAL=0
ENV BUILD="cargo build --locked --target host-tuple --bin treasury-bot --profile"
WORKDIR /build
COPY --from=manifests /manifests .
RUN $BUILD "$PROFILE"

FROM dependencies AS build
ARG PROFILE
COPY . .
# Newer than what was built of the empty sources, whatever the time of the checkout.
RUN find crates src -name '*.rs' -exec touch {} + \
    && $BUILD "$PROFILE" \
    && mkdir -p /out/data \
    && cp target/*-linux-*/*/treasury-bot /out/

FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="treasury-bot" \
      org.opencontainers.image.description="Incident response from Slack for a Treasury Management System" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# The embedded database's folder: all that the bot ever writes to.
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/treasury-bot /usr/local/bin/treasury-bot
ENV TREASURY_BOT_CONFIG=/etc/treasury-bot/treasury-bot.toml \
    TREASURY_BOT_WEB_LISTEN=0.0.0.0:8080 \
    TMPDIR=/data
WORKDIR /data
VOLUME /data
USER 65532:65532
EXPOSE 8080
# Alpine has no curl; the binary asks itself.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/treasury-bot", "health"]
ENTRYPOINT ["/usr/local/bin/treasury-bot"]
CMD ["serve"]
