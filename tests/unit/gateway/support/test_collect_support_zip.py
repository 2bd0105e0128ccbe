"""Tests that the archive for a bug report is useful, and holds no patient data and no names."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.__main__ import app
from gateway.config import load_gateway_settings
from gateway.store.audit_events import record_rejected
from gateway.store.database import LEDGER_FILE
from gateway.support.remove_names import NameRemover
from tests.phantom.modules import PATIENT_ID, PATIENT_NAME
from tests.unit.gateway.web.filling import Filled, open_filled

FAMILY, GIVEN = "Mustermann", "Erika"
UID = "1.2.826.0.1.3680043.8.498.12345678901234567890"
BIRTH_DATE = "19560423"
PHANTOM_NAME = PATIENT_NAME.partition("^")[0]  # the other part is our own name
PATIENT = (FAMILY, GIVEN, UID, BIRTH_DATE, PHANTOM_NAME, PATIENT_ID, "4711-X")
SECRETS = ("geheim", "db.klinik.example", "KLINIKPACS", "10.1.2.3", "anna")
WHO = f"{PATIENT_NAME} {FAMILY}^{GIVEN} {PATIENT_ID}"

LOG = f"""noise of another program about {FAMILY}
Dec 02 host totalmap[7]: 2026-12-02T09:40:57.518391Z [error    ] job_dead  job={"ab12" * 16} \
reason='/data/{FAMILY}, {GIVEN} 4711-X/{PATIENT_ID}.dcm: No space left on device'
2026-12-02T09:40:58.518391Z [warning  ] instance_refused  sender={FAMILY} \
reason='{WHO}: a patient born {BIRTH_DATE} is refused; the study {UID} is not'
2026-12-02T09:40:59.518391Z [info     ] file_rejected  file='{GIVEN} {PATIENT_ID}.dcm' study={UID}
Traceback (most recent call last): {GIVEN}
2026-12-02T09:41:00.518391Z [info     ] receiving  address=10.1.2.3 port=11112
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / f"{FAMILY} {GIVEN} {PATIENT_ID}"
    folder.mkdir()
    path = folder / f"{FAMILY}.yaml"
    document = {
        "storage_folder": str(folder / UID),
        "receive": {
            "address": "10.1.2.3",
            "senders": [{"ae_title": "KLINIKPACS", "network": "10.1.2.3"}],
        },
        "rules": [
            {
                "name": "mustermann",
                "descriptions": [FAMILY, "Abdomen"],
                "senders": [FAMILY],
                "destinations": ["erika"],
                "application": {"segmentation": {"task": "lung_nodules"}},
            }
        ],
        "destinations": [
            {"name": "erika", "stow": {"url": "https://anna:geheim@db.klinik.example/dicom-web"}}
        ],
        "web": {"user_header": "X-Erika"},
    }
    path.write_text(yaml.safe_dump(document))
    (folder / f"{PATIENT_ID}.log").write_text(LOG)
    return path


@pytest.fixture
def gateway(file: Path) -> Iterator[Filled]:
    filled = open_filled(load_gateway_settings(file))
    with filled.database:
        filled.die(filled.open_job(UID), f"{WHO}: no series has 10 slices")
        filled.open_job(f"{UID}.1")
        filled.worker_list.see(f"{FAMILY}-1", "cpu", None)
        record_rejected(filled.database, WHO, f"{FAMILY} is none of receive.senders")
        yield filled


def run(file: Path, *words: object) -> Result:
    log = file.with_name(f"{PATIENT_ID}.log")
    given = ["support", file, "--output", file.parent / "out.zip", "--log", log, *words]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, given)])


def unpacked(file: Path) -> dict[str, str]:
    with ZipFile(file.parent / "out.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.usefixtures("gateway")
def test_the_support_archive_holds_no_patient_data_no_secret_and_no_name(file: Path) -> None:
    done = run(file)
    assert done.exit_code == 0, done.output
    texts = unpacked(file)
    for word in (*PATIENT, *SECRETS, str(file.parent)):
        for name, text in texts.items():
            assert word.lower() not in text.lower(), f"{word} in {name}"
            assert word.lower() not in name.lower()
    assert stat.S_IMODE((file.parent / "out.zip").stat().st_mode) == 0o600


@pytest.mark.usefixtures("gateway")
def test_the_support_archive_says_what_a_developer_needs(file: Path) -> None:
    run(file)
    texts = unpacked(file)
    manifest = texts["READ-ME-FIRST.txt"]
    assert "Please look at every file before you send the archive" in manifest
    for name in texts:
        assert name == "READ-ME-FIRST.txt" or f"\n{name}: " in manifest
    settings = yaml.safe_load(texts["settings.yaml"])
    assert settings["receive"]["port"] == 11112
    (rule,) = settings["rules"]
    assert rule["destinations"] == [settings["destinations"][0]["name"]] == ["NAME-2"]
    assert rule["application"] == {"segmentation": {"task": "lung_nodules"}}
    assert settings["destinations"][0]["stow"]["url"] == "https://URL-1"
    queue = json.loads(texts["queue.json"])
    assert (queue["jobs"]["dead"], queue["jobs"]["queued"]) == (1, 1)
    ledger = json.loads(texts["ledger.json"])
    assert ledger["integrity"] == "ok"
    assert ledger["layout"] == ledger["expected_layout"]
    machine = json.loads(texts["machine.json"])
    assert machine["disk_free_bytes"] > 0
    assert machine["memory_bytes"] > 0
    assert "TotalMAP" in json.loads(texts["versions.json"])
    assert "\npydicom==" in texts["packages.txt"]
    log = texts["log.txt"].splitlines()
    assert len(log) == 4
    assert log[0].startswith("2026-12-02T09:40:57.518391Z [error] job_dead job=ab12")
    assert log[0].endswith("No space left on device")
    assert log[3] == "2026-12-02T09:41:00.518391Z [info] receiving address=HOST-1 port=11112"
    errors = json.loads(texts["errors.json"])
    assert {entry["event"] for entry in errors["log"]} == {"job_dead", "instance_refused"}
    reasons = {entry["kind"]: entry["reason"] for entry in errors["ledger"]}
    assert reasons["dead"].endswith("no series has 10 slices")


@pytest.mark.usefixtures("gateway")
def test_titles_and_hosts_stay_in_the_support_archive_if_the_user_wants_it(file: Path) -> None:
    assert run(file, "--keep-nodes").exit_code == 0
    texts = unpacked(file)
    assert "ae_title: KLINIKPACS" in texts["settings.yaml"]
    assert "address=10.1.2.3" in texts["log.txt"]
    assert "but the AE titles, hosts and addresses" in texts["READ-ME-FIRST.txt"]
    assert "geheim" not in "".join(texts.values())


def test_a_support_archive_also_describes_wrong_settings_and_a_damaged_ledger(
    file: Path, gateway: Filled
) -> None:
    gateway.database.close()
    ledger = gateway.storage.folder / LEDGER_FILE
    ledger.write_bytes(b"no database here" + ledger.read_bytes()[16:])
    done = run(file)
    assert done.exit_code == 0
    assert "queue.json is missing: " in done.output
    found = json.loads(unpacked(file)["ledger.json"])
    assert "SQLITE_NOTADB" in found["integrity"]
    (file.parent / "out.zip").unlink()
    file.write_text(f"receive: {{port: {FAMILY}}}")
    assert run(file).exit_code == 0
    texts = unpacked(file)
    assert "could not be made: setting receive.port: Input should be" in texts["READ-ME-FIRST.txt"]
    assert FAMILY.lower() not in "".join(texts.values()).lower()


def test_making_a_support_archive_overwrites_no_file_and_creates_no_missing_storage(
    file: Path,
) -> None:
    before = sorted(file.parent.iterdir())
    assert run(file).exit_code == 0
    assert sorted(file.parent.iterdir()) == sorted([*before, file.parent / "out.zip"])
    again = run(file)
    assert again.exit_code == 64
    assert "exists already: name a new file with --output" in again.output


def test_only_words_of_totalmap_itself_stay_in_a_text_of_the_support_archive() -> None:
    names = NameRemover()
    assert names.clean("no series has 10 slices") == "no series has 10 slices"
    assert names.clean(f"{FAMILY}^{GIVEN}: no series has 10 slices") == "#: no series has 10 slices"
    assert names.clean(f"born {BIRTH_DATE}, ID 123456, 1956-04-23").count("1") == 0
    assert names.clean(f"{PATIENT_ID} and host-1") == "# and host-1"
    assert names.clean("Müller 4711 /a/b: Permission denied") == "# PATH Permission denied"
    assert names.hashed(UID) == names.hashed(UID) != NameRemover().hashed(UID)
