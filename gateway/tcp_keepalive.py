"""Makes TCP detect peers that have lost their power or their network."""

import socket

# A peer that does not answer the probes is given up after 60 s.
KEEPALIVE_IDLE_SECONDS = 30
KEEPALIVE_INTERVAL_SECONDS = 10
KEEPALIVE_PROBES = 3
# A peer that does not acknowledge what is sent to it, or does not read it, is given up.
USER_TIMEOUT_SECONDS = 30


def detect_dead_peer(connection: socket.socket) -> None:
    """Makes TCP end a connection whose peer is gone, or takes nothing that is sent to it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS),
        (socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS),
        (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
        (socket.TCP_USER_TIMEOUT, USER_TIMEOUT_SECONDS * 1000),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
