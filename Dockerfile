# One static-enough binary in a small image without shell or package manager.
# The base images are arguments, so that a mirror, a pinned digest or a test's stand-in can be used.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY runbooks runbooks
COPY src src
RUN cargo build --profile dist --locked --bin treasury-bot

FROM ${BASE_IMAGE}
COPY --from=build /build/target/dist/treasury-bot /usr/local/bin/treasury-bot
# The embedded database lives here; the user must be able to write to it.
WORKDIR /data
COPY --from=build --chown=65532:65532 /build/Cargo.lock /data/.keep
USER 65532:65532
ENV TREASURY_BOT_CONFIG=/etc/treasury-bot/treasury-bot.toml
VOLUME /data
EXPOSE 8080
# The binary asks itself: there is no curl here.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["/usr/local/bin/treasury-bot", "health"]
ENTRYPOINT ["/usr/local/bin/treasury-bot"]
CMD ["serve"]
