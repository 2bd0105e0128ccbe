"""Defines the settings of what people read: preview, report and PDF."""

from enum import StrEnum

from totalmap.settings_file import Section
from totalmap.texts.catalogue import Language


class Identify(StrEnum):
    """How far preview, report and PDF identify the patient.

    `none` shows the date of the study and the number of the series only, `accession` also the
    accession number and the description of the series, `full` also name, ID and date of birth.
    """

    NONE = "none"
    ACCESSION = "accession"
    FULL = "full"


class ReportSection(Section):
    """How results speak to people: the preview, the report and the PDF."""

    language: Language = Language.ENGLISH
    identify: Identify = Identify.NONE
