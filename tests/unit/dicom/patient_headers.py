"""Holds pairs of headers that one patient can have, and pairs that belong to two patients.

Sources: PS3.5 6.1.2.3 and 6.2 (character sets, padding, groups of a name), PS3.3 C.12.1.1.2;
pydicom#815, pydicom#736, pynetdicom#201 and dicomParser#89 (character sets that hospitals write).
"""

VRS = {
    "SpecificCharacterSet": "CS",
    "PatientID": "LO",
    "IssuerOfPatientID": "LO",
    "PatientName": "PN",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
}
NAMES = {
    "PatientID": "Patient ID",
    "IssuerOfPatientID": "Issuer of Patient ID",
    "PatientName": "Patient's Name",
    "PatientBirthDate": "Patient's Birth Date",
    "PatientSex": "Patient's Sex",
}
Values = dict[str, bytes | None]


def said(character_set: bytes | None = None, **values: bytes | None) -> Values:
    """Returns attributes as bytes; None takes an attribute out."""
    return {"SpecificCharacterSet": character_set, **values}


def name(value: bytes, character_set: bytes | None = None) -> Values:
    return said(character_set, PatientName=value)


def encoded(text: str, encoding: str, character_set: bytes | None) -> Values:
    return name(text.encode(encoding), character_set)


UTF_8 = b"ISO_IR 192"
LATIN_1 = b"ISO_IR 100"
GERMAN = "Müller^Jürgen"
CHINESE = "王^小东"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"


def korean() -> bytes:
    latin, ideographic, phonetic = KOREAN.split("=")
    groups = [
        b"^".join(b"\x1b$)C" + part.encode("euc_kr") for part in group.split("^"))
        for group in (ideographic, phonetic)
    ]
    return b"=".join([latin.encode(), *groups])


ONE_PATIENT: dict[str, tuple[Values, Values]] = {
    "blanks around an ID": (said(PatientID=b"A1 "), said(PatientID=b" A1")),
    "an ID padded with a null byte": (said(PatientID=b"A12\0"), said(PatientID=b"A12 ")),
    "an ID in small letters": (said(PatientID=b"ab12"), said(PatientID=b"AB12")),
    "an empty ID": (said(PatientID=b""), said(PatientID=b"AB12")),
    "no ID": (said(PatientID=None), said(PatientID=b"AB12")),
    "no issuer": (said(IssuerOfPatientID=None), said(IssuerOfPatientID=b"HOSPITAL")),
    "an issuer in other letters": (
        said(IssuerOfPatientID=b"Hospital"),
        said(IssuerOfPatientID=b"HOSPITAL "),
    ),
    "a name with empty components at its end": (name(b"DOE^JOHN^^^ "), name(b"DOE^JOHN")),
    "a name with empty groups at its end": (name(b"DOE^JOHN== "), name(b"DOE^JOHN")),
    "a name in other letters": (name(b"Doe^John"), name(b"DOE^JOHN")),
    "a name with blanks in its components": (name(b"DOE ^ JOHN  A"), name(b"DOE^JOHN A ")),
    "an empty name": (name(b""), name(b"DOE^JOHN")),
    "a name of delimiters alone": (name(b"^^^^"), name(b"DOE^JOHN")),
    "a name in Latin-1 and in UTF-8": (
        encoded(GERMAN, "latin-1", LATIN_1),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name in capitals with an umlaut": (
        encoded(GERMAN.upper(), "latin-1", LATIN_1),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name with composed and combining umlauts": (
        encoded("Mu\u0308ller^Ju\u0308rgen", "utf-8", UTF_8),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name in Latin-1 that declares no character set": (
        encoded(GERMAN, "latin-1", None),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a name in Latin-1 that declares ASCII": (
        encoded(GERMAN, "latin-1", b"ISO_IR 6"),
        encoded(GERMAN, "latin-1", LATIN_1),
    ),
    "a misspelt character set": (
        encoded(GERMAN, "latin-1", b"ISO-IR 100"),
        encoded(GERMAN, "latin-1", LATIN_1),
    ),
    "a character set that is not supplied": (
        encoded(GERMAN, "latin-1", b"Not Supplied"),
        encoded(GERMAN, "utf-8", UTF_8),
    ),
    "a Chinese name in GB18030 and in UTF-8": (
        encoded(CHINESE, "gb18030", b"GB18030"),
        encoded(CHINESE, "utf-8", UTF_8),
    ),
    "a Chinese name with two character sets that exclude each other": (
        encoded(CHINESE, "gb18030", b"GB18030\\ISO IR 192"),
        encoded(CHINESE, "utf-8", UTF_8),
    ),
    "a Chinese name in GBK that declares no character set": (
        encoded(CHINESE, "gb18030", None),
        encoded(CHINESE, "utf-8", UTF_8),
    ),
    "a Japanese name with escapes and in UTF-8": (
        name(
            b"Yamada^Tarou="
            + "山田".encode("iso2022_jp")
            + b"^"
            + "太郎".encode("iso2022_jp")
            + b"="
            + "やまだ".encode("iso2022_jp")
            + b"^"
            + "たろう".encode("iso2022_jp"),
            b"\\ISO 2022 IR 87",
        ),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a Korean name with escapes and in UTF-8": (
        name(korean(), b"\\ISO 2022 IR 149"),
        encoded(KOREAN, "utf-8", UTF_8),
    ),
    "a name without its ideographic and phonetic groups": (
        name(b"Yamada^Tarou"),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a name without its phonetic group": (
        encoded("Yamada^Tarou=山田^太郎", "utf-8", UTF_8),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a name without its alphabetic group": (
        encoded("=山田^太郎", "utf-8", UTF_8),
        encoded(JAPANESE, "utf-8", UTF_8),
    ),
    "a birth date with points": (
        said(PatientBirthDate=b"1950.01.31"),
        said(PatientBirthDate=b"19500131"),
    ),
    "no birth date": (said(PatientBirthDate=b""), said(PatientBirthDate=b"19500131")),
    "a birth date of zeros": (
        said(PatientBirthDate=b"00000000"),
        said(PatientBirthDate=b"19500131"),
    ),
    "a sex in a small letter": (said(PatientSex=b"f "), said(PatientSex=b"F")),
    "no sex": (said(PatientSex=None), said(PatientSex=b"F")),
}
TWO_PATIENTS: dict[str, tuple[Values, Values]] = {
    "another ID": (said(PatientID=b"A1"), said(PatientID=b"A2")),
    "an ID with leading zeros": (said(PatientID=b"0012"), said(PatientID=b"12")),
    "an ID with a blank inside": (said(PatientID=b"1 2"), said(PatientID=b"12")),
    "an ID with a hyphen": (said(PatientID=b"1-2"), said(PatientID=b"12")),
    "an ID that is the begin of another one": (said(PatientID=b"123"), said(PatientID=b"1234")),
    "an ID with another letter": (said(PatientID=b"O12"), said(PatientID=b"012")),
    "another issuer": (
        said(IssuerOfPatientID=b"HOSPITAL A"),
        said(IssuerOfPatientID=b"HOSPITAL B"),
    ),
    "another given name": (name(b"DOE^JOHN"), name(b"DOE^JANE")),
    "another family name": (name(b"DOE^JOHN"), name(b"ROE^JOHN")),
    "components in another order": (name(b"DOE^JOHN"), name(b"JOHN^DOE")),
    "a middle name that only one has": (name(b"DOE^JOHN^A"), name(b"DOE^JOHN")),
    "an empty family name": (name(b"^JOHN"), name(b"JOHN")),
    "a suffix": (name(b"DOE^JOHN^^^JR"), name(b"DOE^JOHN^^^SR")),
    "another letter in Latin-1": (
        encoded("Müller^J", "latin-1", LATIN_1),
        encoded("Möller^J", "latin-1", LATIN_1),
    ),
    "the same bytes in two character sets": (
        name(b"M\xfcller^J", LATIN_1),
        name(b"M\xfcller^J", b"ISO_IR 144"),
    ),
    "an umlaut and two letters": (encoded(GERMAN, "utf-8", UTF_8), name(b"Mueller^Juergen")),
    "another Chinese name in another character set": (
        encoded("王^小东", "gb18030", b"GB18030"),
        encoded("王^小明", "utf-8", UTF_8),
    ),
    "two names that declare no character set": (
        encoded("Müller^J", "latin-1", None),
        encoded("Möller^J", "latin-1", None),
    ),
    "another ideographic group behind one alphabetic group": (
        encoded("Yamada^Tarou=山田^太郎", "utf-8", UTF_8),
        encoded("Yamada^Tarou=山田^太朗", "utf-8", UTF_8),
    ),
    "another phonetic group": (
        encoded("Yamada^Tarou==やまだ^たろう", "utf-8", UTF_8),
        encoded("Yamada^Tarou==やまだ^じろう", "utf-8", UTF_8),
    ),
    "another alphabetic group before one ideographic group": (
        encoded("Yamada^Tarou=山田^太郎", "utf-8", UTF_8),
        encoded("Yamada^Jirou=山田^太郎", "utf-8", UTF_8),
    ),
    "another birth date": (
        said(PatientBirthDate=b"19500131"),
        said(PatientBirthDate=b"19500130"),
    ),
    "a birth date with day and month exchanged": (
        said(PatientBirthDate=b"19500201"),
        said(PatientBirthDate=b"19500102"),
    ),
    "another sex": (said(PatientSex=b"F"), said(PatientSex=b"M")),
    "the sex of others": (said(PatientSex=b"O"), said(PatientSex=b"M")),
}
