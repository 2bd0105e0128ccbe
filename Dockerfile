# The MAP for the CPU or for CUDA. `make image` builds it with docker from a build context
# (image/build_context.py). It needs no image of NVIDIA: PyTorch has the libraries of CUDA.
ARG BASE_IMAGE=debian:bookworm-slim
# The image in which packages are installed; it is not part of the result.
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates
# The build of PyTorch: cpu or cuda. The index with the build for the CPU: PyPI has that for CUDA only.
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY packages /packages
WORKDIR /packages
RUN python3 -m venv /opt/totalmap \
    && PIP_NO_CACHE_DIR=1 /opt/totalmap/bin/python -m install.packages run \
        --torch ${TORCH} --torch-index ${TORCH_INDEX} --without-totalmap \
    && /opt/totalmap/bin/python -m install.licences --installed NOTICE
# The installers are removed. All modules are compiled now, because the image runs read-only.
RUN cd /opt/totalmap/lib/python3*/site-packages \
    && rm -rf pip pip-*.dist-info setuptools setuptools-*.dist-info pkg_resources \
        hatchling hatchling-*.dist-info \
    && { python3 -m compileall -q -j 0 . || true; }

FROM ${BASE_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 jq libgomp1 \
    && rm -rf /var/lib/apt/lists/*
ARG TITLE
ARG VERSION
ARG SDK_VERSION
ARG HOLOSCAN_VERSION
LABEL org.opencontainers.image.title=${TITLE} \
    org.opencontainers.image.version=${VERSION} \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.nvidia.holoscan=${HOLOSCAN_VERSION} \
    org.monai.deploy.app-sdk=${SDK_VERSION}

# Both spellings of two names: that of the specification of MAPs, and that of the packager 4.2.
ENV PATH=/opt/totalmap/bin:$PATH \
    HOLOSCAN_INPUT_PATH=/var/holoscan/input/ \
    HOLOSCAN_OUTPUT_PATH=/var/holoscan/output/ \
    HOLOSCAN_WORKDIR=/var/holoscan/ \
    HOLOSCAN_APPLICATION=/opt/holoscan/app/ \
    HOLOSCAN_MODEL_PATH=/opt/holoscan/models/ \
    HOLOSCAN_CONFIG_PATH=/var/holoscan/app.yaml \
    HOLOSCAN_APP_MANIFEST_PATH=/etc/holoscan/app.json \
    HOLOSCAN_PKG_MANIFEST_PATH=/etc/holoscan/pkg.json \
    HOLOSCAN_DOCS=/opt/holoscan/docs/ \
    HOLOSCAN_DOCS_PATH=/opt/holoscan/docs/ \
    HOLOSCAN_LOGS=/var/holoscan/logs \
    HOLOSCAN_LOGS_PATH=/var/holoscan/logs \
    HOLOSCAN_TIMEOUT=0 \
    HOLOSCAN_VERSION=${HOLOSCAN_VERSION}
# For any user, also one without a name, and for a file system in which only /tmp is writable.
ENV HOME=/tmp USER=holoscan LOGNAME=holoscan PYTHONDONTWRITEBYTECODE=1 \
    CUPY_CACHE_DIR=/tmp/.cupy MPLCONFIGDIR=/tmp/.matplotlib TOTALSEG_HOME_DIR=/tmp/.totalsegmentator

RUN useradd --uid 1000 --user-group --no-create-home --home-dir /tmp --shell /bin/bash holoscan \
    && install -d -o holoscan -g holoscan \
        /var/holoscan /var/holoscan/input /var/holoscan/output /var/holoscan/logs \
    && install -d /opt/holoscan/models /opt/holoscan/docs /etc/holoscan
COPY --from=packages /opt/totalmap /opt/totalmap
COPY tools /var/holoscan/tools
COPY map /etc/holoscan
COPY app.yaml /var/holoscan/app.yaml
COPY docs /opt/holoscan/docs
COPY --from=packages /packages/NOTICE /opt/holoscan/docs/NOTICE
COPY models /opt/holoscan/models
COPY app /opt/holoscan/app
RUN python3 -m compileall -q /opt/holoscan/app

USER holoscan
WORKDIR /var/holoscan/
ENTRYPOINT ["/var/holoscan/tools"]
