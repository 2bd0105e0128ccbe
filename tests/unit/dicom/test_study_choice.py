import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.phantom.modules import phantom_uid
from tests.phantom.study import SeriesSpec, write_series
from totalmap.dicom.study import Study, read_study
from totalmap.dicom.study_choice import choose_study, list_studies, of_study
from totalmap.errors import InputError

SMALL = SeriesSpec(rows=16, columns=16, n_slices=3, scanner=None)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two patients in one folder, one of them with two series."""
    folder = tmp_path_factory.mktemp("patients")
    write_series(folder / "a", 1, SMALL)
    write_series(folder / "b", 2, SMALL)
    write_series(folder / "c", 2, replace(SMALL, number=3, n_slices=4))
    return read_study(folder)


def test_studies_of_an_input_are_numbered_by_their_uid_and_counted(content: Study) -> None:
    first, second = list_studies(content)
    assert first.uid < second.uid
    assert (first.number, second.number) == (1, 2)
    assert first.of == second.of == 2
    assert {(study.series, study.images) for study in (first, second)} == {(1, 3), (2, 7)}


def test_several_studies_in_an_input_are_refused_with_their_numbers_and_uids(
    content: Study,
) -> None:
    with pytest.raises(InputError) as caught:
        choose_study(content, None)
    message = str(caught.value)
    assert message.startswith("the input holds 2 studies: choose one with --study")
    assert "totalmap run --all" in message
    for study in list_studies(content):
        assert f"{study.number}: {study.uid}, {study.series} series" in message
    assert "\n" not in message


def test_a_study_of_an_input_is_chosen_by_number_or_uid(content: Study) -> None:
    _, second = list_studies(content)
    assert choose_study(content, "2") == choose_study(content, second.uid) == second
    chosen = of_study(content, second.uid)
    assert {series.study_instance_uid for series in chosen.series} == {second.uid}
    assert len(chosen.series) == second.series


def test_the_only_study_of_an_input_is_chosen_without_number_or_uid(content: Study) -> None:
    (_, second) = list_studies(content)
    alone = of_study(content, second.uid)
    assert choose_study(alone, None).uid == second.uid
    assert choose_study(alone, "1").uid == second.uid


def test_an_unknown_study_number_is_refused(content: Study) -> None:
    with pytest.raises(InputError, match=r"holds no study 3, only 1: 2\.25\."):
        choose_study(content, "3")


def test_a_wanted_study_that_may_be_a_patient_name_is_not_shown_in_the_message(
    content: Study,
) -> None:
    with pytest.raises(InputError) as caught:
        choose_study(content, "DOE^JOHN")
    assert "DOE" not in str(caught.value)


def test_the_refusal_of_an_input_lists_only_the_first_of_many_studies(content: Study) -> None:
    series = content.series[0]
    many = replace(
        content,
        series=tuple(
            replace(
                series,
                instances=tuple(
                    replace(instance, study_instance_uid=f"1.2.{n}")
                    for instance in series.instances
                ),
            )
            for n in range(25)
        ),
    )
    with pytest.raises(InputError, match="and 5 more, see `totalmap inspect`"):
        choose_study(many, None)


def test_study_numbers_do_not_depend_on_file_names(content: Study, tmp_path: Path) -> None:
    write_series(tmp_path / "z", 1, SMALL)
    write_series(tmp_path / "y", 2, SMALL)
    again = [study.uid for study in list_studies(read_study(tmp_path))]
    assert again == [study.uid for study in list_studies(content)]


def test_the_only_study_with_images_is_chosen_beside_an_ecg(tmp_path: Path) -> None:
    """Pydicom's waveform_ecg.dcm is an ECG of another study."""
    write_series(tmp_path, 1, SMALL)
    shutil.copy(str(get_testdata_file("waveform_ecg.dcm")), tmp_path)
    content = read_study(tmp_path)
    assert len(list_studies(content)) == 2
    assert choose_study(content, None).uid == str(phantom_uid("study", 1))
