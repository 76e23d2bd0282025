# A release passes both with a digest (NAME:TAG@sha256:…): docs/operate.md says how to find and check it.
ARG BUILD_BASE=node:24-bookworm-slim
ARG RUNTIME_BASE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_BASE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
# No package needs its install script: build/check-lockfile.mjs lists those that have one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY build.mjs tsconfig.json ./
COPY build build
COPY src src
RUN npm run build

# The runtime in one layer, so that a changed mode costs no second copy of node. A process whose program can't be read is not
# dumpable: the kernel then keeps its /proc/PID/{environ,fd,mem,root} from other processes of its own user.
FROM ${RUNTIME_BASE} AS runtime
FROM ${BUILD_BASE} AS rootfs
COPY --from=runtime / /rootfs/
RUN chown root:root /rootfs/nodejs/bin/node && chmod 0111 /rootfs/nodejs/bin/node

FROM scratch
COPY --from=rootfs /rootfs/ /
# By SIGUSR1 a process of the same user would open node's debugger in this one.
ENV PATH=/nodejs/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    NODE_OPTIONS=--disable-sigusr1
WORKDIR /home/nonroot
ARG RUNTIME_BASE
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ado-git-identity" \
      org.opencontainers.image.description="Access to Azure DevOps git repositories for pods, through Entra workload identity" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${RUNTIME_BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# All bundles but demo.cjs, which holds emulators of Entra and Azure DevOps.
COPY --from=build /build/dist/webhook.cjs /build/dist/sidecar.cjs /build/dist/cli.cjs /app/
COPY --from=build /build/dist/inject.cjs /build/dist/kubeconfig.cjs /build/dist/authority.cjs /app/
COPY --from=build /build/dist/THIRD-PARTY-NOTICES /app/
COPY LICENSE /app/
USER 65532:65532
ENTRYPOINT ["/nodejs/bin/node", "/app/cli.cjs"]
CMD ["--help"]
