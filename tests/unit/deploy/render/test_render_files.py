import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.render.render_files import render_files, write_files
from deploy.site_options import ClinicalReview, Priority, ReviewMode, Site, Target
from deploy.validate.validate_files import validate_files
from tests.conftest import REPOSITORY
from tests.servers import require_program
from totalmap.errors import ConfigError
from totalmap.settings import Settings, load_settings

SETTINGS = load_settings(REPOSITORY / "app.yaml", {})
# The options, other than defaults, with which deploy/docker and deploy/argo were rendered.
COMMITTED = {
    Target.DOCKER: Site(),
    Target.ARGO: Site(notify=("pacs-team@hospital.example",)),
}
ANEW = {
    Target.DOCKER: "totalmap deploy render deploy/docker --target docker --force",
    Target.ARGO: (
        "totalmap deploy render deploy/argo --target argo --notify pacs-team@hospital.example "
        "--force"
    ),
}


def rendered(target: Target, site: Site | None = None, **changes: Any) -> Mapping[str, str]:
    """Returns {file name: text}; the changes apply to `resources` and `results`."""
    settings = Settings.model_validate(SETTINGS.model_dump() | changes)
    files = render_files(target, settings, site or COMMITTED[target])
    return {file.name: file.text for file in files}


def workflow(texts: Mapping[str, str]) -> Any:
    return json.loads(texts["totalmap.json"])


def segment(texts: Mapping[str, str]) -> Any:
    (template,) = yaml.safe_load(texts["totalmap-template.yaml"])["spec"]["templates"]
    return template


@pytest.mark.parametrize("target", Target)
def test_the_rendered_deployment_files_in_the_repository_are_up_to_date(target: Target) -> None:
    folder = REPOSITORY / "deploy" / target.value
    texts = rendered(target)
    assert {path.name for path in folder.iterdir()} == set(texts)
    for name, text in texts.items():
        assert (folder / name).read_text() == text, f"{name} is out of date: {ANEW[target]}"


@pytest.mark.parametrize("target", Target)
def test_rendered_deployment_files_are_valid(target: Target, tmp_path: Path) -> None:
    paths = write_files(render_files(target, SETTINGS, COMMITTED[target]), tmp_path)
    report = validate_files(paths[:2] if target is Target.ARGO else paths[:1])
    assert report.faults == ()


def test_deployment_files_with_other_content_are_replaced_only_with_force(tmp_path: Path) -> None:
    files = render_files(Target.DOCKER, SETTINGS, Site())
    write_files(files, tmp_path)
    write_files(files, tmp_path)  # the same content again
    (tmp_path / "compose.yaml").write_text("mine")
    changed = render_files(Target.DOCKER, SETTINGS, Site(ae_title="OTHER"))
    with pytest.raises(ConfigError, match=r"totalmap\.json exists with other content"):
        write_files(changed, tmp_path)
    assert (tmp_path / "compose.yaml").read_text() == "mine"
    write_files(changed, tmp_path, force=True)
    assert "OTHER" in (tmp_path / "totalmap.json").read_text()
    assert (tmp_path / "compose.yaml").read_text() != "mine"


def test_rendering_deployment_files_into_a_folder_without_write_permission_is_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be written"):
        write_files(render_files(Target.DOCKER, SETTINGS, Site()), tmp_path / "file" / "folder")


def test_the_version_and_image_of_rendered_deployment_files_come_from_app_yaml() -> None:
    application = {"title": "TotalMAP", "version": "1.2.3"}
    texts = rendered(Target.DOCKER, application=application)
    assert workflow(texts)["version"] == "1.2.3"
    assert workflow(texts)["tasks"][1]["args"]["container_image"] == "totalmap:1.2.3"
    compose = yaml.safe_load(texts["compose.yaml"])
    assert compose["services"]["totalmap"]["image"] == "totalmap:1.2.3"
    assert segment(rendered(Target.ARGO, application=application))["container"]["image"] == (
        "totalmap:1.2.3"
    )


def test_the_resources_of_rendered_deployment_files_come_from_app_yaml() -> None:
    resources = {"cpu": 8, "memory": "16Gi", "gpu": 1}
    limits = segment(rendered(Target.ARGO, resources=resources))["container"]["resources"]
    assert limits == {
        "requests": {"cpu": "8", "memory": "16Gi"},
        "limits": {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "1"},
    }
    texts = rendered(Target.DOCKER, resources=resources)
    service = yaml.safe_load(texts["compose.yaml"])["services"]["totalmap"]
    assert (service["cpus"], service["mem_limit"]) == (8, "16g")
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"]) == ("nvidia", 1)
    assert "--gpus 1" in texts["totalmap@.service"]


def test_deployment_files_rendered_without_a_gpu_name_none() -> None:
    assert "gpu" not in "".join(rendered(Target.DOCKER).values())
    assert "gpu" not in "".join(rendered(Target.ARGO).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resources": {"cpu": 0}}, "resources.cpu is 0"),
        ({"resources": {"memory": "8GB"}}, "resources.memory is '8GB'"),
        ({"resources": {"gpu": "one"}}, "resources.gpu is 'one'"),
        ({"results": {"kinds": ["nifti", "csv"]}}, "none of them can be sent to a PACS"),
    ],
)
def test_rendering_deployment_files_refuses_settings_that_no_site_can_use(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        rendered(Target.DOCKER, **changes)


@pytest.mark.parametrize(
    ("target", "site", "message"),
    [
        (Target.DOCKER, Site(ae_title="A-TITLE-TOO-LONG"), "16 characters"),
        (Target.DOCKER, Site(image="hospital:5000/totalmap"), "no tag"),
        (Target.DOCKER, Site(user="root"), "user is 'root'"),
        (Target.ARGO, Site(user="0:0"), "other than root"),
        (Target.DOCKER, Site(image="totalmap:1 --privileged"), "registry/"),
        (Target.DOCKER, Site(retention_days=0), "dataRetentionDays is 0"),
        (Target.ARGO, Site(server_url="argo"), "server_url is 'argo'"),
        (Target.ARGO, Site(notify=("nobody",)), "'nobody' is not an e-mail address"),
        (Target.DOCKER, Site(review=ClinicalReview(ReviewMode.QA)), "use --target argo"),
        (
            Target.ARGO,
            Site(review=ClinicalReview(ReviewMode.QA, hours=100)),
            "deleted after 3 days",
        ),
    ],
)
def test_rendering_deployment_files_refuses_invalid_options_of_a_site(
    target: Target, site: Site, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        render_files(target, SETTINGS, site)


def test_the_rendered_docker_workflow_has_the_options_of_the_site() -> None:
    site = Site(ae_title="SEG", pacs="PACS1", origins=("CT1", "CT2"), user="7:8", timeout_minutes=9)
    document = workflow(rendered(Target.DOCKER, site))
    assert document["informatics_gateway"] == {
        "ae_title": "SEG",
        "data_origins": ["CT1", "CT2"],
        "export_destinations": ["PACS1"],
    }
    router, task, export = document["tasks"]
    assert router["type"] == "router"
    assert "conditions" not in router["task_destinations"][0]
    assert (task["args"]["user"], task["args"]["task_timeout_minutes"]) == ("7:8", "9")
    assert task["timeout_minutes"] > 9
    assert export["export_destinations"] == [{"name": "PACS1"}]
    (results,) = export["artifacts"]["input"]
    # Results exist after a success only; the plug-in treats a failed container as a success.
    assert results["value"].endswith("/env_HOLOSCAN_OUTPUT_PATH/results")
    assert results["mandatory"] is True


def test_the_rendered_argo_workflow_notifies_about_studies_that_can_not_be_segmented() -> None:
    texts = rendered(Target.ARGO)
    task, export, notify = workflow(texts)["tasks"][1:]
    conditions = {
        destination["name"]: destination["conditions"] for destination in task["task_destinations"]
    }
    outcome = "{{ context.executions.totalmap.result.outcome }}"
    assert conditions == {
        export["id"]: [f"{outcome} == 'succeeded'"],
        notify["id"]: [f"{outcome} != 'succeeded'"],
    }
    assert notify["args"]["recipient_emails"] == "pacs-team@hospital.example"
    # A study that can't be segmented does not fail the workflow; every other error does.
    (script,) = segment(texts)["container"]["args"]
    for status, expected in ((0, 0), (65, 0), (64, 1), (66, 1), (70, 1), (75, 1), (137, 1)):
        stand_in = script.replace("/var/holoscan/tools", f"sh -c 'exit {status}'")
        assert subprocess.run(["sh", "-c", stand_in], check=False).returncode == expected, status


def test_the_rendered_argo_workflow_without_notification_has_no_condition() -> None:
    texts = rendered(Target.ARGO, Site())
    tasks = workflow(texts)["tasks"]
    assert [task["type"] for task in tasks] == ["router", "argo", "export"]
    assert tasks[1]["task_destinations"] == [{"name": "export-results"}]
    assert segment(texts)["container"]["command"] == ["/var/holoscan/tools"]


@pytest.mark.parametrize("notify", [(), ("pacs-team@hospital.example",)])
def test_a_clinical_review_comes_between_the_segmentation_and_the_export(
    notify: tuple[str, ...],
) -> None:
    review = ClinicalReview(ReviewMode.RESEARCH, roles=("radiologist", "physicist"), hours=5)
    texts = rendered(Target.ARGO, Site(review=review, notify=notify))
    _, segmentation, task, export, *mail = workflow(texts)["tasks"]
    assert segmentation["task_destinations"][0]["name"] == task["id"] == "clinical-review"
    assert task["task_destinations"] == [
        {
            "name": export["id"],
            "conditions": ["{{ context.executions.clinical-review.result.acceptance }} == 'true'"],
        }
    ]
    assert (task["type"], task["timeout_minutes"]) == ("aide_clinical_review", 300)
    assert task["args"] == {
        "reviewed_task_id": segmentation["id"],
        "application_name": "TotalMAP",
        "application_version": SETTINGS.application.version,
        "mode": "Research",
        "notifications": "true",
        "reviewer_roles": "radiologist,physicist",
    }
    study, results = task["artifacts"]["input"]
    assert study["value"] == "{{ context.input.dicom }}"
    assert results["value"] == export["artifacts"]["input"][0]["value"]
    assert [task["type"] for task in mail] == ["email"] * len(notify)


def test_a_clinical_review_without_roles_leaves_them_to_the_task_manager() -> None:
    texts = rendered(Target.ARGO, Site(review=ClinicalReview(ReviewMode.QA)))
    assert "reviewer_roles" not in workflow(texts)["tasks"][2]["args"]


def test_the_rendered_argo_files_have_the_options_of_the_site() -> None:
    site = Site(
        namespace="imaging",
        models_claim="weights",
        priority=Priority.HIGH,
        parallel=3,
        allow_insecure=True,
        user="7:8",
    )
    texts = rendered(Target.ARGO, site)
    arguments = workflow(texts)["tasks"][1]["args"]
    assert (arguments["namespace"], arguments["priority"]) == ("imaging", "high")
    assert arguments["allow_insecure"] == "true"
    template = segment(texts)
    assert template["securityContext"]["runAsUser"] == 7
    assert template["securityContext"]["fsGroup"] == 8
    mounts = {mount["name"]: mount for mount in template["container"]["volumeMounts"]}
    assert mounts["models"] == {
        "name": "models",
        "mountPath": "/opt/holoscan/models",
        "readOnly": True,
    }
    config_map = list(yaml.safe_load_all(texts["access.yaml"]))[-1]
    assert config_map["data"] == {"segmentations": "3"}
    for name in ("access.yaml", "orthanc.yaml", "totalmap-template.yaml"):
        for document in yaml.safe_load_all(texts[name]):
            assert document["metadata"]["namespace"] == "imaging"


def test_the_semaphore_of_the_argo_template_refers_to_the_rendered_config_map() -> None:
    texts = rendered(Target.ARGO)
    reference = segment(texts)["synchronization"]["semaphore"]["configMapKeyRef"]
    config_map = list(yaml.safe_load_all(texts["access.yaml"]))[-1]
    assert config_map["metadata"]["name"] == reference["name"]
    assert reference["key"] in config_map["data"]


def test_rendered_priority_classes_cover_all_priorities() -> None:
    documents = yaml.safe_load_all(rendered(Target.ARGO)["priorities.yaml"])
    assert {document["metadata"]["name"] for document in documents} == set(Priority)


@pytest.mark.parametrize("target", Target)
def test_rendered_deployment_files_hold_no_moving_image_and_no_secret(target: Target) -> None:
    for name, text in rendered(target).items():
        assert ":latest" not in text, name
        assert "password" not in text.replace("choose-a-password", "").lower() or name in (
            "compose.yaml",
            "orthanc.env.example",
        )


def test_the_rendered_compose_file_isolates_totalmap() -> None:
    service = yaml.safe_load(rendered(Target.DOCKER)["compose.yaml"])["services"]["totalmap"]
    assert service["network_mode"] == "none"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["profiles"] == ["segment"]
    assert service["volumes"][0].endswith(":/var/holoscan/input:ro")


@pytest.mark.parametrize("gpu", [0, 1])
def test_docker_compose_accepts_the_rendered_compose_file(gpu: int, tmp_path: Path) -> None:
    docker = require_program("docker", "docker.io")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed (Debian trixie: docker-compose)")
    resources = {"cpu": 2, "memory": "8Gi", "gpu": gpu}
    settings = Settings.model_validate(SETTINGS.model_dump() | {"resources": resources})
    write_files(render_files(Target.DOCKER, settings, Site()), tmp_path)
    shutil.copy(tmp_path / "orthanc.env.example", tmp_path / "orthanc.env")
    options = ["--project-directory", str(tmp_path), "--profile", "segment"]
    command = [str(docker), "compose", *options, "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"orthanc", "totalmap"}
    assert services["totalmap"]["mem_limit"] == str(8 * 2**30)
    users = services["orthanc"]["environment"]["ORTHANC__REGISTERED_USERS"]
    assert json.loads(users) == {"totalmap": "choose-a-password"}


def test_the_rendered_compose_file_quotes_names() -> None:
    site = Site(pacs='PACS: "1"')
    compose = yaml.safe_load(rendered(Target.DOCKER, site)["compose.yaml"])
    assert compose["services"]["orthanc"]["environment"]["ORTHANC__DICOM_AET"] == site.pacs


def test_systemd_accepts_the_rendered_unit(tmp_path: Path) -> None:
    analyze = require_program("systemd-analyze", "systemd")
    text = rendered(Target.DOCKER)["totalmap@.service"]
    # Docker may be missing on this machine.
    unit = text.replace("docker.service", "basic.target").replace("/usr/bin/docker", "/bin/true")
    (tmp_path / "totalmap@.service").write_text(unit)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / "totalmap@case-1.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_rendered_systemd_unit_isolates_totalmap() -> None:
    text = rendered(Target.DOCKER)["totalmap@.service"].replace("\\\n", "")
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    for option in (
        "--network=none --read-only --tmpfs /tmp",
        "--cap-drop ALL --security-opt no-new-privileges",
        "--user 1000:1000",
        "/input:/var/holoscan/input:ro",
    ):
        assert option in " ".join(line.split())
    assert line.endswith(f"totalmap:{SETTINGS.application.version}")


def test_rendered_deployment_scripts_are_executable_and_parse(tmp_path: Path) -> None:
    write_files(render_files(Target.DOCKER, SETTINGS, Site()), tmp_path)
    script = tmp_path / "report-failures.sh"
    assert shutil.which(str(script))
    subprocess.run(["sh", "-n", script], check=True)
