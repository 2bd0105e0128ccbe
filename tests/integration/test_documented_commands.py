"""Every command in our documents is run by a test: by this one, or by the one that it names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import load_gateway_settings
from gateway.store.database import open_database
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.documents import commands
from tests.phantom.study import write_study
from tests.servers import free_port

DOCUMENTS = (
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
)
TOTALMAP = ".venv/bin/totalmap"
RUN_SECONDS = 300

# Pages that have their own test, which runs all their commands.
PAGES = {
    "docs/tutorial.md": "tests/integration/test_tutorial.py",
    "docs/monai-deploy.md": "tests/unit/deploy/test_deployment_pages.py",
    "docs/argo.md": "tests/unit/deploy/test_deployment_pages.py",
    "docs/docker.md": "tests/unit/deploy/test_deployment_pages.py",
    "docs/operations.md": "tests/integration/test_operations.py",
}

# Commands that are run below, in this order, and their correct exit statuses.
RUN_HERE = {
    "export HTTPS_PROXY=http://proxy.example.org:3128": (0,),
    "export PIP_CERT=/etc/ssl/certs/ca-certificates.crt": (0,),
    "export PIP_INDEX_URL=https://pypi.example.org/simple": (0,),
    f"{TOTALMAP} inspect /a/folder": (0,),
    f"{TOTALMAP} run /a/folder /another/folder": (0,),
    f"{TOTALMAP} trace build/demo/results/seg.dcm": (0,),
    f"{TOTALMAP} check build/demo/results --source build/phantom": (0, 1, 3),  # the verdict
    **{
        f"{TOTALMAP} compare build/demo/results/seg.dcm build/demo/results/{rest}": (0,)
        for rest in (
            "labels.nii.gz",
            "rtstruct.dcm --source build/phantom",
            "labels.nii.gz --json build/demo/agreement.json --csv build/demo/agreement.csv",
        )
    },
    f"{TOTALMAP} gateway check gateway.yaml": (0,),
    f"{TOTALMAP} status gateway.yaml": (0,),
    f"{TOTALMAP} gateway held gateway.yaml": (0,),
    f"{TOTALMAP} gateway user list gateway.yaml": (0,),
    f"{TOTALMAP} gateway confirm-clock gateway.yaml": (64,),  # the clock has not jumped
    f"{TOTALMAP} gateway pause gateway.yaml": (0,),
    f"{TOTALMAP} gateway resume gateway.yaml": (0,),
    f"{TOTALMAP} gateway drain gateway.yaml": (0,),
    f"{TOTALMAP} models adopt models/totalsegmentator": (0,),
}

# Commands that make only shows here, and a part of what it shows. tests/unit/install tests the
# parts of an installation. CI runs the tests of the last two with `make test`.
SHOWN_BY_MAKE = {
    "make install": "install.packages run gateway",
    "make install TORCH=cuda": "install.packages run gateway",
    "make install PYTHON=python3.12": "install.packages run gateway",
    "make test TESTS=tests/unit/dicom": "pytest",
    "make coverage": "coverage report",
}

CI = ".ci/run"
# Commands that other tests or CI run, because they need minutes, root or a network, or because
# those tests check more of them.
RUN_ELSEWHERE = {
    "make demo": "tests/integration/test_readme.py",
    "make demo-gateway": "tests/integration/test_readme.py",
    "make test": CI,
    "make lint": CI,
    "make audit": CI,
    "make docs": "tests/integration/test_site.py",
    "make check-install": "tests/unit/install/test_check_installable.py",
    "make bundle WEIGHTS=models/totalsegmentator": "tests/acceptance/test_bundle.py",
    "sh build/bundle/install.sh /opt/totalmap": "tests/acceptance/test_bundle.py",
    'make bench BENCH="--narrow --variant fast --runs 1"': "tests/integration/test_bench.py",
    "make image WEIGHTS=models/totalsegmentator": "tests/acceptance/test_own_image.py",
    "make package WEIGHTS=models/totalsegmentator": "tests/acceptance/test_packaged_image.py",
    "docker run": "tests/acceptance/test_docker_commands_of_documents.py",
    "monai-deploy run": "tests/acceptance/test_docker_commands_of_documents.py",
    f"{TOTALMAP} models install total --variant fast": "tests/unit/engine/test_weights_download.py",
    **{
        f"{TOTALMAP} models adopt models/totalsegmentator --{option} /a/folder": (
            "tests/unit/cli/test_models.py"
        )
        for option in ("bf16-on", "boxes-on")
    },
    f"{TOTALMAP} models shortcuts total --variant fast": "tests/unit/cli/test_models.py",
    f"{TOTALMAP} run /a/folder /results --": "tests/integration/test_inputs.py",
    ".venv/bin/python -m app": "tests/integration/test_application.py",
    f"{TOTALMAP} verify": "tests/integration/test_verify.py",
    f"{TOTALMAP} gateway reload gateway.yaml": "tests/integration/test_reload.py",
    f"{TOTALMAP} serve gateway.yaml": "tests/integration/test_gateway.py",
    f"{TOTALMAP} serve --only-work gateway.yaml": "tests/integration/test_postgres.py",
    **{
        f"{TOTALMAP} gateway {command}": "tests/unit/cli/test_gateway.py"
        for command in ("retry JOB", "cancel JOB", "urgent JOB")
    },
    **{
        f"{TOTALMAP} gateway user {command}": "tests/unit/cli/test_gateway_user.py"
        for command in (
            "add NAME --role administrator",
            "role NAME operator",
            "reset NAME",
            "logout NAME",
            "remove NAME",
        )
    },
    **{
        f"{TOTALMAP} gateway {command}": "tests/unit/gateway/test_backup.py"
        for command in ("backup", "verify", "restore")
    },
    f"{TOTALMAP} gateway alarm-test": "tests/unit/cli/test_gateway_send_test_alarm.py",
    f"{TOTALMAP} deploy render": "tests/unit/deploy/test_deployment_pages.py",
    f"{TOTALMAP} deploy check": "tests/unit/deploy/test_deployment_pages.py",
}
# Documents may add words to these commands.
BEGINNINGS = (
    "docker run",
    "monai-deploy run",
    ".venv/bin/python -m app",
    *(command for command in RUN_ELSEWHERE if command.startswith(TOTALMAP)),
)


def name_of(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


def documented() -> set[str]:
    """Returns the commands of all documents that have no test of their own."""
    pages = [document for document in DOCUMENTS if name_of(document) not in PAGES]
    return {command for document in pages for command in commands(document)}


def is_run(command: str) -> bool:
    tables = (RUN_HERE, SHOWN_BY_MAKE, RUN_ELSEWHERE)
    return any(command in table for table in tables) or command.startswith(BEGINNINGS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_documented_command_is_run_by_a_test(document: Path) -> None:
    if name_of(document) not in PAGES:
        assert [command for command in commands(document) if not is_run(command)] == []


def test_every_command_with_a_test_is_documented() -> None:
    known = documented()
    tables = [*RUN_HERE, *SHOWN_BY_MAKE, *RUN_ELSEWHERE]
    unknown = [line for line in tables if not any(text.startswith(line) for text in known)]
    assert unknown == []


@pytest.mark.parametrize("test", sorted({*PAGES.values(), *RUN_ELSEWHERE.values()}))
def test_every_test_file_named_for_a_documented_command_exists(test: str) -> None:
    assert (REPOSITORY / test).is_file()


def test_ci_runs_the_documented_commands_that_no_test_runs() -> None:
    lines = (REPOSITORY / CI).read_text(encoding="utf-8").splitlines()
    commands_of_ci = [command for command, test in RUN_ELSEWHERE.items() if test == CI]
    assert set(commands_of_ci) <= set(lines)
    for command in commands_of_ci:
        words = command.replace("make ", "make --dry-run --always-make ").split()
        done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        assert ".venv/bin/" in done.stdout


def test_the_readme_shows_how_to_run_your_own_study() -> None:
    assert f"{TOTALMAP} run /a/folder /another/folder" in commands(REPOSITORY / "README.md")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Replaces the paths in documents by a small study, the demo weights and new folders."""
    folder = tmp_path_factory.mktemp("reader")
    study = write_study(folder / "study", size=64, n_slices=40)
    models = folder / "models"
    models.mkdir()
    for path in DEMO_MODELS.iterdir():
        if path.name != "manifest.json":
            (models / path.name).symlink_to(path)
    settings = folder / "app.yaml"
    text = (REPOSITORY / "app.yaml").read_text()
    settings.write_text(text.replace("rejected: hold", "rejected: deliver"))
    gateway = folder / "gateway.yaml"
    text = (REPOSITORY / "gateway.yaml").read_text()
    for port in ("11112", "8080"):
        text = text.replace(f"port: {port}", f"port: {free_port()}")
    text = text.replace("storage_folder: totalmap-gateway", f"storage_folder: {folder}/gateway")
    text = text.replace("models_folder: null", f"models_folder: {DEMO_MODELS}")
    gateway.write_text(text.replace("keep_free_gb: 2.0", "keep_free_gb: 0.1"))
    open_database(load_gateway_settings(gateway)).close()  # as the first start makes it
    return {
        TOTALMAP: f"{sys.executable} -m cli",
        "run /a/folder /another/folder": (
            f"run {study.folder} {folder}/output --models {DEMO_MODELS} --config {settings}"
        ),
        "/a/folder": str(study.folder),
        "build/demo": f"{folder}/output",
        "build/phantom": str(study.folder),
        "gateway.yaml": str(gateway),
        "models/totalsegmentator": str(models),
    }


@pytest.mark.parametrize("command", RUN_HERE)
def test_a_documented_command_runs(command: str, workplace: dict[str, str]) -> None:
    pattern = "|".join(map(re.escape, workplace))
    own = re.sub(pattern, lambda found: workplace[found[0]], command)
    done = subprocess.run(
        ["bash", "-c", own],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode in RUN_HERE[command], f"{own}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("command", SHOWN_BY_MAKE)
def test_make_has_the_documented_target(command: str) -> None:
    words = command.replace("make ", "make --dry-run --always-make ").split()
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SHOWN_BY_MAKE[command] in done.stdout
    for word in words:
        _, is_variable, value = word.partition("=")
        assert not is_variable or value in done.stdout
