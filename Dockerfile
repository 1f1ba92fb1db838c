# Build: docker build -t sofa .
# Run:   docker run -p 8080:8080 -e DATABASE_URL=postgres://... -e SOFA__SECURITY__MASTER_KEY=... \
#          -e SOFA__SERVER__PUBLIC_URL=https://sofa.example.org sofa
# The image holds no Postgres: it is for deployments, which have one. To try SoFA out, `cargo run -- demo` needs no image.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/sofa /usr/local/bin/sofa

FROM debian:12-slim
# The root certificates come from the build image, so that this stage downloads nothing.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/sofa /usr/local/bin/sofa
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --shell /usr/sbin/nologin sofa
USER 10001:10001
ENV SOFA__SERVER__LISTEN=0.0.0.0:8080 \
    SOFA__LOG__FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["/usr/local/bin/sofa", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/sofa"]
CMD ["serve"]
