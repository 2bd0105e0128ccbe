"""Runs RabbitMQ of Debian in a folder and on free ports; it can be killed and restarted."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from pika.exceptions import AMQPError

from tests.acceptance.task_manager.messages import USER, VHOST, declare, open_channel
from tests.servers import LOOPBACK, POLL_SECONDS, free_port, require_program
from tests.waiting import WAIT_SECONDS

# Debian's command on the PATH runs this one as another user, in folders of the system.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    amqp: int
    distribution: int
    epmd: int


class Broker:
    """A RabbitMQ node with its data in a folder."""

    def __init__(self, folder: Path, ports: _Ports) -> None:
        self.port = ports.amqp
        self._folder = folder
        self._environment = _environment(folder, ports)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the node and does not wait for it."""
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [SERVER],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        """Returns when queues can be declared."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._is_up():
            assert time.monotonic() < deadline, f"RabbitMQ does not answer: {self._said()}"
            assert self._process is not None
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_SECONDS)
                raise AssertionError(f"RabbitMQ has ended: {self._said()}")

    def kill(self) -> None:
        """Ends the node at once, as a power failure does."""
        assert self._process is not None
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Ends the node if it runs."""
        if self._process is not None:
            self.kill()

    def _is_up(self) -> bool:
        try:
            with open_channel(self.port) as channel:
                declare(channel)
                return True
        except AMQPError:
            return False

    def _said(self) -> str:
        return (self._folder / "broker.log").read_text(errors="replace")[-2000:]


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """Yields a RabbitMQ that is up; it ends with the block.

    Skips the test where RabbitMQ is not installed.
    """
    require_program("epmd", "rabbitmq-server")
    if not SERVER.exists():
        pytest.skip(f"{SERVER} is not installed (Debian: rabbitmq-server)")
    ports = _Ports(amqp=free_port(), distribution=free_port(), epmd=free_port())
    broker = Broker(folder, ports)
    # Otherwise the node would start Erlang's name server, which would not end with it.
    with subprocess.Popen(["epmd", "-port", str(ports.epmd), "-address", LOOPBACK]) as names:
        try:
            with closing(broker):
                broker.start()
                broker.wait_until_up()
                yield broker
        finally:
            names.kill()


def _environment(folder: Path, ports: _Ports) -> dict[str, str]:
    settings = folder / "rabbitmq.conf"
    settings.write_text(
        f"listeners.tcp.1 = {LOOPBACK}:{ports.amqp}\n"
        f"default_vhost = {VHOST}\ndefault_user = {USER}\ndefault_pass = {USER}\n"
    )
    plugins = folder / "enabled_plugins"
    plugins.write_text("[].\n")
    interface = LOOPBACK.replace(".", ",")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),  # of Erlang's cookie
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "RABBITMQ_NODENAME": "totalmap@localhost",
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (f"-kernel inet_dist_use_interface {{{interface}}}"),
    }
