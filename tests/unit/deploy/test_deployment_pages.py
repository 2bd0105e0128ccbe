"""Every command of the deployment pages is run without changes.

Only addresses and folders are replaced: by free ports of this machine, and by a temporary folder in
place of `build`. The acceptance tests run the commands that need a Docker engine.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.phantom.study import SeriesSpec, write_series
from tests.servers import LOOPBACK, require_program, running_orthanc
from tests.serving import serving
from tests.waiting import WAIT_SECONDS
from totalmap.settings import load_settings

PAGES = ("monai-deploy", "argo", "docker")
NEEDS_DOCKER = re.compile(r"docker (run|compose) ")


def commands(page: str) -> list[str]:
    text = (REPOSITORY / "docs" / f"{page}.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def only(page: str, *words: str) -> str:
    """Returns the only command that has all the words."""
    (command,) = [line for line in commands(page) if all(word in line for word in words)]
    return command


# The first words of each command that needs no Docker engine, and the test that runs it.
TESTED = {
    ".venv/bin/totalmap deploy": "test_rendered_deployment_files_pass_deploy_check",
    "build/site/report-failures.sh": "test_report_failures_prints_nothing_without_failures",
    "install -m 600": "test_a_study_goes_from_orthanc_to_a_folder_and_back",
    "mkdir -p": "test_a_study_goes_from_orthanc_to_a_folder_and_back",
    "find build/site/output/results": "test_a_study_goes_from_orthanc_to_a_folder_and_back",
    "python3 -m zipfile": "test_a_study_goes_from_orthanc_to_a_folder_and_back",
    "kubectl": "test_kubectl_applies_the_rendered_files",
    "curl": "the tests of the server that each one goes to",
}


def test_every_command_of_the_deployment_pages_has_a_test() -> None:
    for page in PAGES:
        for command in commands(page):
            assert NEEDS_DOCKER.match(command) or command.startswith(tuple(TESTED)), command


def test_the_docker_deployment_page_names_the_current_image() -> None:
    version = load_settings(REPOSITORY / "app.yaml", {}).application.version
    assert only("docker", "docker run").endswith(f" totalmap:{version}")


def sh(
    command: str, folder: Path, addresses: Mapping[int, int] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command with other ports and another folder in place of `build`."""
    for port, other in (addresses or {}).items():
        command = command.replace(f"//localhost:{port}", f"//{LOOPBACK}:{other}")
    command = command.replace(".venv/bin/totalmap", f"{shlex.quote(sys.executable)} -m cli")
    command = command.replace("build/", f"{shlex.quote(str(folder))}/")
    return subprocess.run(
        ["sh", "-c", command],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that replaces `build`, with the site for Docker."""
    good(sh(only("docker", "deploy render build/site"), tmp_path))
    return tmp_path


@dataclass(frozen=True)
class RecordingServer:
    """A server that accepts every request and keeps it.

    Attributes:
        received: The requests, as (method, path, body).
    """

    port: int
    received: list[tuple[str, str, str]]


@contextmanager
def recording_server(answers: Mapping[str, Any] | None = None) -> Iterator[RecordingServer]:
    """Yields a server that gives the set answers to GET, otherwise 404, and echoes other bodies."""
    received: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, content: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path in (answers or {}):
                self._answer(200, json.dumps((answers or {})[path]).encode())
            else:
                self._answer(404, json.dumps(NOT_FOUND).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(("POST", self.path.partition("?")[0], body.decode(errors="replace")))
            self._answer(201, body, self.headers["Content-Type"])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    with serving(server):
        yield RecordingServer(server.server_port, received)


NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}


@pytest.mark.parametrize(
    ("page", "folder"),
    [("monai-deploy", "build/site"), ("argo", "build/site"), ("argo", "build/review")],
)
def test_rendered_deployment_files_pass_deploy_check(
    page: str, folder: str, tmp_path: Path
) -> None:
    good(sh(only(page, f"deploy render {folder}"), tmp_path))
    assert "valid: clinical workflow" in good(sh(only(page, f"deploy check {folder}"), tmp_path))


@pytest.mark.parametrize("page", ["monai-deploy", "argo"])
def test_curl_registers_the_clinical_workflow(page: str, tmp_path: Path) -> None:
    require_program("curl", "curl")
    good(sh(only(page, "deploy render build/site"), tmp_path))
    with recording_server() as manager:
        good(sh(only(page, "curl", "5001/workflows"), tmp_path, {5001: manager.port}))
    ((method, path, body),) = manager.received
    assert (method, path) == ("POST", "/workflows")
    assert json.loads(body) == json.loads((tmp_path / "site" / "totalmap.json").read_text())


def test_curl_sends_the_ae_title_to_the_informatics_gateway(site: Path) -> None:
    require_program("curl", "curl")
    with recording_server() as gateway:
        good(sh(only("monai-deploy", "curl", "config/ae"), site, {5000: gateway.port}))
    ((method, path, body),) = gateway.received
    assert (method, path) == ("POST", "/config/ae")
    workflow = json.loads((site / "site" / "totalmap.json").read_text())
    assert json.loads(body)["aeTitle"] == workflow["informatics_gateway"]["ae_title"]


def test_report_failures_prints_nothing_without_failures(site: Path) -> None:
    require_program("curl", "curl")
    require_program("jq", "jq")
    with recording_server({"/workflowinstances/failed": []}) as manager:
        done = sh(only("monai-deploy", "report-failures"), site, {5001: manager.port})
    assert good(done) == ""


def test_orthanc_sends_a_study_to_totalmap(site: Path, tmp_path: Path) -> None:
    """Two Orthancs: the second one takes the role of the Informatics Gateway."""
    require_program("curl", "curl")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with running_orthanc(tmp_path / "one") as pacs, running_orthanc(tmp_path / "two") as gateway:
        pacs.store(*_study(tmp_path))
        study = _only_study(pacs.http_port, site)
        address = f'"Host": "{LOOPBACK}", "Port": {gateway.dicom_port}'
        command = only("monai-deploy", "modalities/TOTALMAP", "PUT")
        assert '"Host": "informatics-gateway", "Port": 104' in command
        command = command.replace('"Host": "informatics-gateway", "Port": 104', address)
        good(sh(command, site, {8042: pacs.http_port}))
        send = only("monai-deploy", "modalities/TOTALMAP/store")
        good(sh(send, site, {8042: pacs.http_port}, STUDY=study))
        assert _only_study(gateway.http_port, site) == study


def test_a_study_goes_from_orthanc_to_a_folder_and_back(site: Path, tmp_path: Path) -> None:
    require_program("curl", "curl")
    good(sh(only("docker", "install -m 600"), site))
    assert (site / "site" / "orthanc.env").stat().st_mode & 0o777 == 0o600
    (tmp_path / "orthanc").mkdir()
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        ports, password = {8042: orthanc.http_port}, "any"
        sent = _study(tmp_path)
        orthanc.store(*sent)
        study = _only_study(orthanc.http_port, site)
        out = only("docker", "curl", "archive")
        good(sh(out, site, ports, STUDY=study, PASSWORD=password))
        good(sh(only("docker", "python3 -m zipfile"), site))
        taken = [path for path in (site / "site" / "input").rglob("*") if path.is_file()]
        assert len(taken) == len(sent)
        good(sh(only("docker", "mkdir -p"), site))
        results = site / "site" / "output" / "results" / "source"
        results.mkdir(parents=True)
        (result,) = _study(tmp_path, "result", seed=5, n_slices=1)
        result.rename(results / "one.dcm")
        good(sh(only("docker", "find", "instances"), site, ports, PASSWORD=password))
        instances = json.loads(good(sh(f"curl --fail {orthanc.url}/instances", site)))
        assert len(instances) == len(sent) + 1


def _study(folder: Path, name: str = "study", seed: int = 3, n_slices: int = 3) -> list[Path]:
    spec = SeriesSpec(rows=16, columns=16, n_slices=n_slices, pixel_spacing_mm=(20.0, 20.0))
    return sorted(
        path for path in write_series(folder / name, seed, spec).folder.rglob("*") if path.is_file()
    )


def _only_study(port: int, folder: Path) -> str:
    (study,) = json.loads(good(sh("curl --fail http://localhost:1/studies", folder, {1: port})))
    return str(study)


# The resources for which kubectl asks a cluster first. All others are namespaced.
RESOURCES = {
    "v1": {
        "serviceaccounts": "ServiceAccount",
        "configmaps": "ConfigMap",
        "secrets": "Secret",
        "services": "Service",
        "persistentvolumeclaims": "PersistentVolumeClaim",
    },
    "apps/v1": {"deployments": "Deployment"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
    "scheduling.k8s.io/v1": {"priorityclasses": "PriorityClass"},
    "argoproj.io/v1alpha1": {"workflowtemplates": "WorkflowTemplate"},
}


def _cluster() -> dict[str, Any]:
    """Returns {path: answer} of an empty cluster."""
    answers: dict[str, Any] = {"/api": {"kind": "APIVersions", "versions": ["v1"]}}
    groups = []
    for group_version, names in RESOURCES.items():
        resources = [
            {
                "name": name,
                "singularName": "",
                "kind": kind,
                "namespaced": kind != "PriorityClass",
                "verbs": ["get", "create", "patch"],
            }
            for name, kind in names.items()
        ]
        group, _, version = group_version.rpartition("/")
        answers[f"/{'apis' if group else 'api'}/{group_version}"] = {
            "kind": "APIResourceList",
            "groupVersion": group_version,
            "resources": resources,
        }
        if group:
            one = {"groupVersion": group_version, "version": version}
            groups.append({"name": group, "versions": [one], "preferredVersion": one})
    return {**answers, "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}}


def test_kubectl_applies_the_rendered_files(tmp_path: Path) -> None:
    require_program("kubectl", "kubernetes-client")
    good(sh(only("argo", "deploy render build/site"), tmp_path))
    (tmp_path / "site" / "users.json").write_text('{"totalmap": "a password"}')
    with recording_server(_cluster()) as cluster:
        for command in [one for one in commands("argo") if one.startswith("kubectl")]:
            # The simulated cluster has no schemas for a validation.
            flags = f"kubectl --server=http://{LOOPBACK}:{cluster.port}"
            line = command.replace("kubectl", flags, 1) + " --validate=false"
            good(sh(line, tmp_path, HOME=str(tmp_path)))
    (secret,) = [body for _, path, body in cluster.received if path.endswith("/secrets")]
    assert "orthanc-users" in secret
    made = [json.loads(body) for _, path, body in cluster.received if not path.endswith("/secrets")]
    assert sorted(_kind_and_name(one) for one in made) == sorted(
        _kind_and_name(document)
        for name in ("priorities", "access", "totalmap-template", "orthanc")
        for document in yaml.safe_load_all((tmp_path / "site" / f"{name}.yaml").read_text())
    )


def _kind_and_name(document: Any) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]
