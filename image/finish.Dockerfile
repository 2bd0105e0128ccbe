# Completes an image of `monai-deploy package`: see docs/image.md.
ARG PACKAGED
FROM ${PACKAGED}

# Any user finds the packages, and does not have to write into their folder.
ENV PYTHONUSERBASE=/home/holoscan/.local \
    PYTHONDONTWRITEBYTECODE=1 \
    HOLOSCAN_DOCS=/opt/holoscan/docs/ \
    HOLOSCAN_LOGS=/var/holoscan/logs \
    HOME=/tmp USER=holoscan LOGNAME=holoscan \
    CUPY_CACHE_DIR=/tmp/.cupy MPLCONFIGDIR=/tmp/.matplotlib TOTALSEG_HOME_DIR=/tmp/.totalsegmentator

USER root
COPY tools /var/holoscan/tools
COPY packages /tmp/packages
# The wheel of Holoscan links its libraries at the first start of Python, so do this now.
RUN chmod 755 /home/holoscan /var/holoscan/tools \
    && mkdir -p /var/holoscan/logs \
    && HOME=/home/holoscan python3 -c "pass" \
    && cd /tmp/packages \
    && HOME=/home/holoscan python3 -m install.licences --installed /opt/holoscan/docs/NOTICE \
    && rm -rf /tmp/packages \
    && { HOME=/home/holoscan python3 -m compileall -q -j 0 \
        /opt/holoscan/app /home/holoscan/.local || true; }
USER holoscan
