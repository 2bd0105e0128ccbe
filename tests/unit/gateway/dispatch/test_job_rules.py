import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, EnhancedSRStorage, SegmentationStorage

from gateway.config import (
    DestinationSection,
    DicomDestination,
    GatewaySettings,
    RuleSection,
    StowDestination,
)
from gateway.dispatch.job_rules import decide
from gateway.store.file_storage import Storage
from gateway.store.job import Destinations
from gateway.store.ledger import KeptInstance
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.instances import ONE
from totalmap.errors import ResourceError

Keep = Callable[..., KeptInstance]


@pytest.fixture
def keep(storage: Storage, phantom_series: WrittenSeries) -> Keep:
    """Puts an instance with some attributes into the storage."""
    template = pydicom.dcmread(phantom_series.paths[0], stop_before_pixels=True)

    def keep_one(number: int, *, series: str = "1.2.1", **more: Any) -> KeptInstance:
        instance = replace(
            ONE,
            sop_instance_uid=f"1.2.3.{number}",
            series_instance_uid=series,
            sha256=f"{number:064x}",
            received_at=1000.0 + number,
            arrival=number,
            **{key: more.pop(key) for key in ("sender", "sop_class_uid") if key in more},
        )
        for keyword, value in more.items():
            setattr(template, keyword, value)
        path = storage.path(instance)
        path.parent.mkdir(exist_ok=True)
        template.save_as(path)
        return instance

    return keep_one


def settings(*rules: RuleSection) -> GatewaySettings:
    dicom = DicomDestination(ae_title="CT1", address="127.0.0.1")
    stow = StowDestination.model_validate({"url": "http://127.0.0.1/dicom-web"})
    return GatewaySettings(
        rules=rules or (RuleSection(),),
        destinations=(
            DestinationSection(name="web", stow=stow),
            DestinationSection(name="scanner", dicom=dicom),
        ),
    )


def test_each_matching_rule_of_the_gateway_makes_one_job(keep: Keep, storage: Storage) -> None:
    instances = [keep(1, Modality="CT", BodyPartExamined="CHEST"), keep(2, sender="CT2")]
    jobs = decide(
        instances,
        settings(
            RuleSection(name="all", urgent=True, application={"logging": {"format": "json"}}),
            RuleSection(name="heads", body_parts=("HEAD",)),
            RuleSection(name="many", min_instances=3),
            RuleSection(name="two", min_instances=2, senders=("CT2",)),
        ),
        storage,
    )
    assert [job.rule for job in jobs] == ["all", "two"]
    first, second = jobs
    assert (first.is_urgent, second.is_urgent) == (True, False)
    assert first.application == {"logging": {"format": "json"}}
    assert (first.study_instance_uid, first.sender, first.n_images) == ("1.2", "CT2", 2)
    assert first.content_until == instances[1].arrival
    assert first.content_digest == second.content_digest
    assert first.job_id != second.job_id


def test_a_gateway_rule_is_compared_with_every_series_of_a_study(
    keep: Keep, storage: Storage
) -> None:
    instances = [
        keep(1, series="1.2.1", SeriesDescription="Topogramm"),
        keep(2, series="1.2.2", SeriesDescription="Lunge 1.0"),
        keep(3, series="1.2.3", SeriesDescription="Dosis"),
    ]
    assert decide(instances, settings(RuleSection(descriptions=("lunge",))), storage)
    assert not decide(instances, settings(RuleSection(descriptions=("leber",))), storage)


def test_the_same_gateway_rule_on_the_same_images_is_the_same_job(
    keep: Keep, storage: Storage
) -> None:
    """Our own results, and reports, come back from the archive and make no other job."""
    instances = [keep(1), keep(2)]
    returned = [
        keep(3, sop_class_uid=SegmentationStorage, sender="PACS"),
        keep(4, sop_class_uid=EnhancedSRStorage, sender="PACS"),
    ]
    (job,) = decide(instances, settings(), storage)
    (again,) = decide([*returned, *instances], settings(), storage)
    assert again == job
    assert decide(returned, settings(), storage) == []
    assert decide([], settings(), storage) == []
    (grown,) = decide([*instances, keep(5)], settings(), storage)
    assert grown.job_id != job.job_id
    assert grown.content_digest != job.content_digest


def test_other_application_settings_of_a_rule_make_another_job(
    keep: Keep, storage: Storage
) -> None:
    instances = [keep(1)]
    rules = [
        RuleSection(name="ct", application={"segmentation": {"variant": variant}})
        for variant in ("fast", "full", "fast")
    ]
    jobs = [decide(instances, settings(rule), storage)[0].job_id for rule in rules]
    assert jobs[0] == jobs[2] != jobs[1]


@pytest.mark.parametrize(
    ("sender", "named", "expected"),
    [
        ("CT1", ["sender"], ("scanner",)),
        ("CT1", ["web", "sender", "scanner"], ("web", "scanner")),
        ("CT9", ["sender", "web"], ("sender", "web")),
        ("CT1", [], ()),
        ("CT1", ["web", "web"], ("web",)),
    ],
)
def test_results_of_a_gateway_job_go_to_each_destination_once(
    keep: Keep, storage: Storage, sender: str, named: list[str], expected: tuple[str, ...]
) -> None:
    rule = RuleSection(destinations=tuple(named))
    (job,) = decide([keep(1, sender=sender)], settings(rule), storage)
    assert job.destinations == Destinations.for_every_verdict(*expected)


def test_each_verdict_on_results_of_a_gateway_job_has_its_own_destinations(
    keep: Keep, storage: Storage
) -> None:
    rule = RuleSection(
        destinations=("web",),
        review_destinations=("sender", "sender"),
        reject_destinations=("scanner",),
        application={"quality": {"second_opinion": True}},
    )
    (job,) = decide([keep(1, sender="CT1")], settings(rule), storage)
    assert job.destinations == Destinations(ok=("web",), review=("scanner",), reject=("scanner",))
    assert job.application == {"quality": {"second_opinion": True, "rejected": "deliver"}}


@pytest.mark.parametrize(
    ("reject", "application"), [(None, {}), ((), {"quality": {"rejected": "hold"}})]
)
def test_reject_destinations_decide_whether_rejected_results_are_held_back(
    keep: Keep,
    storage: Storage,
    reject: tuple[str, ...] | None,
    application: dict[str, dict[str, Any]],
) -> None:
    rule = RuleSection(destinations=("web",), reject_destinations=reject)
    (job,) = decide([keep(1)], settings(rule), storage)
    assert job.application == application
    assert job.destinations.review == ("web",)


def test_an_instance_without_an_image_class_does_not_count_as_an_image_of_a_job(
    keep: Keep, storage: Storage
) -> None:
    instances = [keep(1), keep(2, sop_class_uid=EnhancedSRStorage)]
    (job,) = decide(instances, settings(RuleSection(min_instances=1)), storage)
    assert job.n_images == 1
    assert not decide(instances, settings(RuleSection(min_instances=2)), storage)


def test_a_broken_header_matches_no_gateway_rule_that_has_conditions(
    keep: Keep, storage: Storage
) -> None:
    broken, good = keep(1, series="1.2.1"), keep(2, series="1.2.2", Modality="CT")
    storage.path(broken).write_bytes(b"no DICOM")
    assert decide([broken], settings(), storage) == []
    assert len(decide([broken, good], settings(), storage)) == 1
    assert len(decide([broken], settings(RuleSection(modalities=())), storage)) == 1


def test_a_missing_file_of_a_study_is_an_error_and_not_a_study_without_jobs(
    keep: Keep, storage: Storage
) -> None:
    away = keep(1)
    storage.path(away).unlink()
    with pytest.raises(ResourceError, match=f"{away.sha256} of a study can't be read: No such"):
        decide([away], settings(), storage)


@pytest.mark.parametrize("keyword", ["Modality", "BodyPartExamined", "SeriesDescription"])
def test_missing_attributes_of_a_study_count_as_empty_for_the_gateway_rules(
    keep: Keep, storage: Storage, keyword: str
) -> None:
    (job,) = decide([keep(1, **{keyword: None})], settings(RuleSection(modalities=())), storage)
    assert job.n_images == 1


@given(
    numbers=st.sets(st.integers(1, 40), min_size=1, max_size=8),
    random=st.randoms(use_true_random=False),
)
def test_the_order_of_instances_does_not_change_the_gateway_jobs_of_a_study(
    tmp_path_factory: pytest.TempPathFactory,
    phantom_series: WrittenSeries,
    numbers: set[int],
    random: Random,
) -> None:
    storage = Storage(tmp_path_factory.getbasetemp() / "decide")
    instances = []
    for number in sorted(numbers):
        one = replace(
            ONE,
            sop_instance_uid=f"1.2.{number}",
            series_instance_uid=f"1.2.{number % 3}",
            sop_class_uid=CTImageStorage,
            sha256=f"{number:064x}",
            received_at=1000.0 + number % 4,
        )
        storage.path(one).parent.mkdir(exist_ok=True)
        if not storage.path(one).exists():
            storage.path(one).hardlink_to(phantom_series.paths[number % 40])
        instances.append(one)
    expected = decide(instances, settings(), storage)
    random.shuffle(instances)
    assert decide(instances, settings(), storage) == expected
    assert json.dumps(expected[0].application) == "{}"
