"""report-failures.sh prints failed workflows; a test server answers as the Workflow Manager."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import REPOSITORY
from tests.servers import LOOPBACK, require_program
from tests.serving import serving
from tests.waiting import WAIT_SECONDS

SCRIPT = REPOSITORY / "deploy" / "docker" / "report-failures.sh"

# As in the documentation of the Workflow Manager's REST interface, workflowinstances/failed.
FAILED = {
    "id": "4a9f",
    "workflow_id": "11",
    "workflow_name": "totalmap",
    "status": "Failed",
    "start_time": "2026-11-25T10:00:00Z",
    "tasks": [
        {"task_id": "router", "execution_id": "1", "status": "Succeeded", "reason": "None"},
        {
            "task_id": "totalmap",
            "execution_id": "2",
            "status": "Failed",
            "reason": "ExternalServiceError",
            "input_parameters": {"patient_name": "NOBODY^NAMED"},
        },
    ],
}


@contextmanager
def workflow_manager(answer: Sequence[Any], status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Yields the address of a server, and the list of requested paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    with serving(server):
        yield f"http://{LOOPBACK}:{server.server_port}", asked


def report(url: str) -> subprocess.CompletedProcess[str]:
    for program in ("curl", "jq"):
        require_program(program, program)
    return subprocess.run(
        [SCRIPT, url], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )


def test_report_failures_script_ends_with_0_without_failures() -> None:
    with workflow_manager([]) as (url, asked):
        done = report(url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked == ["/workflowinstances/failed?acknowledged=1970-01-01"]


def test_report_failures_script_names_a_failed_task_without_patient_data() -> None:
    with workflow_manager([FAILED]) as (url, _):
        done = report(url)
        assert done.returncode == 1, done.stderr
        (line,) = done.stdout.splitlines()
        assert "workflow totalmap: task totalmap failed (ExternalServiceError)" in line
        assert line.endswith(f"{url}/workflowinstances/4a9f/executions/2/acknowledge")
        assert "NOBODY" not in done.stdout


def test_report_failures_script_fails_if_the_workflow_manager_is_down() -> None:
    with workflow_manager([], status=500) as (url, _):
        done = report(url)
    assert done.returncode not in (0, 1)
    assert "500" in done.stderr
