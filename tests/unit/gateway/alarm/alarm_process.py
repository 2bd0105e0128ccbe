"""The alarms of a gateway in a process of their own, which can be killed.

`python -m tests.unit.gateway.alarm.alarm_process GATEWAY.YAML`
"""

import signal
import sys
from pathlib import Path

from gateway.alarm.alarm_watch import sending_alarms
from gateway.config import load_gateway_settings
from totalmap import log

LOOK_SECONDS = 0.05

if __name__ == "__main__":
    log.configure()
    settings = load_gateway_settings(Path(sys.argv[1]))
    with sending_alarms(settings, "box", look_seconds=LOOK_SECONDS):
        signal.sigwait({signal.SIGTERM})
