"""A whole gateway sends alarms: of a failed job, and of a process that is restarted repeatedly."""

from pathlib import Path

import pydicom

from gateway.store.job import JobState
from tests.phantom.study import write_series
from tests.servers import LOOPBACK
from tests.service import SMALL, running_service
from tests.unit.gateway.alarm.receivers import Hook, hook_server
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from tests.waiting import wait_until

RESTARTS = 2


def test_a_running_gateway_sends_alarms_about_a_failed_job_and_a_restarting_process(
    tmp_path: Path,
) -> None:
    docker = DockerStandIn(tmp_path / "docker")
    docker.fails(65, "no series has 10 slices")
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    series = write_series(tmp_path / "study", 5, SMALL)
    header = pydicom.dcmread(series.paths[0], stop_before_pixels=True)
    with hook_server(Hook()) as hook:
        url = f"http://{LOOPBACK}:{hook.port}"
        webhook = {"name": "pager", "url": url, "secret_file": str(secret)}
        with running_service(
            tmp_path,
            work={"runner": "container", "container": {"docker": str(docker.command)}},
            alarms={"webhooks": [webhook], "restarts": RESTARTS, "disk_gb": 0.001},
        ) as service:
            service.send(tmp_path / "study")
            job = service.wait_for(service.job_of(header.StudyInstanceUID), JobState.DEAD)
            for _ in range(RESTARTS):
                killed = service.pid("web")
                service.kill("web")
                wait_until(lambda pid=killed: service.pid("web") not in (None, pid))  # type: ignore[misc]
            posts = [hook.next() for _ in range(2)]
            assert service.stop() == 0
    told = {post.document["kind"]: post.document["begun"]["alarms"] for post in posts}
    assert [alarm["subject"] for alarm in told["job_dead"]] == [job.job_id]
    assert told["process_restarts"][0]["subject"].endswith(" web")
    for post in posts:
        assert str(header.StudyInstanceUID).encode() not in post.body
        assert str(header.PatientID).encode() not in post.body
