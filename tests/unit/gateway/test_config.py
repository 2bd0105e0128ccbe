from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import (
    SENDER,
    DestinationSection,
    GatewaySettings,
    RunnerKind,
    WorkSection,
    load_gateway_settings,
)
from totalmap.errors import ConfigError

DICOM = {"ae_title": "PACS", "address": "10.1.2.3"}
STOW = {"url": "https://archive.example.org/dicom-web"}
FULL = """
storage_folder: /data
receive:
  ae_title: SEGMENT
  port: 104
  senders: [{ae_title: CT1}, {network: 10.1.2.0/24}, {network: "fd00::/8"}]
rules:
  - name: ct
    destinations: [sender, archive]
    application: {segmentation: {variant: full}}
  - {name: stroke, urgent: true, body_parts: [head], destinations: [archive]}
destinations:
  - {name: archive, stow: {url: "https://archive.example.org/dicom-web"}, kinds: [seg]}
  - {name: pacs, dicom: {ae_title: PACS, address: 10.1.2.3}}
work: {runner: container, devices: [cpu, cuda, "cuda:0", "cuda:11", auto]}
"""


def load(tmp_path: Path, document: object) -> GatewaySettings:
    file = tmp_path / "gateway.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return load_gateway_settings(file)


def test_the_gateway_defaults_listen_on_this_machine_only_and_deliver_nowhere(
    tmp_path: Path,
) -> None:
    settings = load_gateway_settings(None)
    assert settings.receive.address == settings.web.address == "127.0.0.1"
    assert settings.destinations == ()
    assert [(rule.name, rule.destinations) for rule in settings.rules] == [("ct", ())]
    assert settings.work.devices == ("auto",)
    assert settings == load(tmp_path, {"work": {}, "rules": [{}]})


def test_a_gateway_settings_file_with_all_sections_is_read(tmp_path: Path) -> None:
    settings = load(tmp_path, FULL)
    assert settings.storage_folder == Path("/data")
    assert settings.rules[0].application == {"segmentation": {"variant": "full"}}
    assert settings.rules[1].urgent
    assert settings.work.runner is RunnerKind.CONTAINER
    assert settings.work.devices[3] == "cuda:11"
    archive = settings.destination("archive")
    assert archive is not None
    assert archive.kinds == ("seg",)
    assert settings.destination("elsewhere") is None


def test_the_name_sender_is_no_destination_of_the_gateway_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, {"rules": [{"destinations": [SENDER]}]})
    assert settings.destination(SENDER) is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"recieve": {}}, "setting recieve is not known, did you mean receive?"),
        ({"receive": {"prot": 1}}, "receive.prot is not known, did you mean receive.port?"),
        ({"keep_free_gb": 1}, "keep_free_gb is not known, did you mean receive.keep_free_gb?"),
        ({"work": {"runer": "warm"}}, "did you mean work.runner?"),
        ({"rules": [{"nmae": "a"}]}, "rules.0.nmae"),
        ({"rules": []}, "rules"),
        ({"rules": [{"name": "a"}, {"name": "a"}]}, "two rules have the same name"),
        ({"rules": [{"name": "Ct"}]}, "rules.0.name"),
        ({"rules": [{"name": "../up"}]}, "rules.0.name"),
        ({"rules": [{"destinations": ["pcas"]}]}, "rule ct: there is no such destination; there"),
        (
            {"rules": [{"reject_destinations": ["sendr"]}]},
            "rule ct: there is no such destination 'sendr', did you mean sender?; there are sender",
        ),
        (
            {
                "rules": [
                    {"reject_destinations": [], "application": {"quality": {"rejected": "hold"}}}
                ]
            },
            "rules.0: reject_destinations and application.quality.rejected",
        ),
        ({"rules": [{"min_instances": 0}]}, "rules.0.min_instances"),
        ({"rules": [{"descriptions": ["("]}]}, "rules.0.descriptions.0"),
        ({"rules": [{"application": {"segmentation": 3}}]}, "rules.0.application.segmentation"),
        (
            {"rules": [{"application": {"segmentation": {"taks": "total"}}}]},
            "segmentation.taks is not known, did you mean segmentation.task?",
        ),
        (
            {"rules": [{"application": {"segmentation": {"task": "totl"}}}]},
            "rule ct, application: there is no segmentation.task 'totl', did you mean total",
        ),
        (
            {"rules": [{"application": {"results": {"seg_structures": ["livr"]}}}]},
            "task total has no structure 'livr', did you mean liver?",
        ),
        ({"receive": {"port": 70000}}, "receive.port"),
        ({"receive": {"senders": [{"network": "10.1.2.3/24"}]}}, "receive.senders.0.network"),
        ({"deliver": {"first_retry_seconds": 0}}, "deliver.first_retry_seconds"),
        ({"deliver": {"at_once": 0}}, "deliver.at_once"),
        ({"complete": {"quiet_seconds": -1}}, "complete.quiet_seconds"),
        ({"work": {"attempts": 0}}, "work.attempts"),
        ({"work": {"runner": "warn"}}, "work.runner 'warn' is not one of warm, container, did you"),
        ({"work": {"devices": []}}, "work.devices"),
        ("[1, 2]", "must hold sections"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_an_error_in_the_gateway_settings_names_the_file_and_the_wrong_setting(
    tmp_path: Path, document: object, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, document)
    assert said in str(raised.value)
    assert "gateway.yaml" in str(raised.value)


def test_a_missing_gateway_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml can't be read: No such file"):
        load_gateway_settings(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ({"name": "a"}, "destination a needs either dicom or stow"),
        ({"name": "a", "dicom": DICOM, "stow": STOW}, "destination a needs either dicom or stow"),
        ({"name": "sender", "dicom": DICOM}, "no destination can be called sender"),
        ({"dicom": DICOM}, "destinations.0.name: Field required"),
        ({"name": "a", "dicom": {"address": "10.1.2.3"}}, "destinations.0.dicom.ae_title"),
        ({"name": "a", "dicom": {**DICOM, "port": 0}}, "destinations.0.dicom.port"),
        ({"name": "a", "stow": {"url": "archive/dicom-web"}}, "destinations.0.stow.url"),
        ({"name": "a", "stow": {"url": "ftp://archive"}}, "destinations.0.stow.url"),
        ({"name": "a b", "stow": STOW}, "destinations.0.name"),
    ],
)
def test_a_gateway_destination_is_either_dicom_or_stow(
    tmp_path: Path, destination: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, {"destinations": [destination]})
    assert said in str(raised.value)


def test_two_gateway_destinations_with_the_same_name_are_refused(tmp_path: Path) -> None:
    twice = [{"name": "a", "dicom": DICOM}, {"name": "a", "stow": STOW}]
    with pytest.raises(ConfigError, match="two destinations have the same name"):
        load(tmp_path, {"destinations": twice})


@pytest.mark.parametrize("title", ["A", "SIXTEEN_CHARS_16", "CT 1", " CT1 ", "ct.1-a/b[2]^~"])
def test_ae_titles_of_the_dicom_standard_are_accepted_in_the_gateway_settings(title: str) -> None:
    one = DestinationSection.model_validate({"name": "a", "dicom": {**DICOM, "ae_title": title}})
    assert one.dicom is not None
    assert one.dicom.ae_title == title.strip(), "leading and trailing spaces mean nothing"


@pytest.mark.parametrize("title", ["", "    ", "SEVENTEEN_CHARS_7", "A\\B", "A\tB", "A\nB", "Ä"])
def test_invalid_ae_titles_are_refused_in_the_gateway_settings(tmp_path: Path, title: str) -> None:
    with pytest.raises(ConfigError, match="ae_title"):
        load(tmp_path, {"destinations": [{"name": "a", "dicom": {**DICOM, "ae_title": title}}]})


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:123", "CPU", "cuda:-1", ""])
def test_unknown_devices_in_the_gateway_settings_are_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=r"work\.devices\.0"):
        load(tmp_path, {"work": {"devices": [device]}})


@pytest.mark.parametrize(
    ("work", "threads"),
    [
        ({}, None),
        ({"threads": 5}, 5),
        ({"devices": ["cpu", "cpu"]}, 8),
        ({"devices": ["auto", "cpu", "cpu"]}, 5),
        ({"devices": ["cpu"] * 40}, 1),
        ({"devices": ["cpu", "cuda:0"]}, None),
        ({"devices": ["cpu", "cpu", "cuda"], "threads": 16}, 16),
    ],
)
def test_gateway_workers_without_a_gpu_share_the_processors_unless_threads_are_set(
    work: dict[str, Any], threads: int | None
) -> None:
    assert WorkSection.model_validate(work).threads_of_a_worker(16) == threads
