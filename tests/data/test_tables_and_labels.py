"""Tables as they are met in the wild, and where a label is looked for."""

from pathlib import Path

import pytest

from fedbrain.data.bids import Scan
from fedbrain.data.labels import Contradiction, make_lookup, rows_without_scan
from fedbrain.data.tables import parse_number, parse_value, read_table, write_table


def _table(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def _scan(root: Path, subject="sub-01", session="ses-1") -> Scan:
    return Scan(
        root / subject / session / "anat" / f"{subject}_{session}_T1w.nii.gz", subject, session, ()
    )


def test_bom_crlf_trailing_tabs_and_short_rows(tmp_path):
    path = _table(
        tmp_path / "t.tsv",
        "\ufeffparticipant_id\tage\tsex\t\r\nsub-01122021301\t26,9\t\t\r\n\r\nsub-02\t89+\r\n",
    )
    assert read_table(path) == [
        {"participant_id": "sub-01122021301", "age": "26,9", "sex": ""},
        {"participant_id": "sub-02", "age": "89+", "sex": ""},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("a\ta\n1\t2\n", "more than once"),
        ("a\tb\n1\t2\t3\n", "row 2: expected 2 columns"),
    ],
)
def test_a_broken_table_is_one_sentence(tmp_path, content, message):
    path = _table(tmp_path / "t.tsv", content)
    with pytest.raises(ValueError, match=f"t.tsv.*{message}"):
        read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        b"a\tb\n\xff\xfe\n",
        "a\tb\n1\t2\n".encode("utf-16"),
        "a\tb\n1\t2\n".encode("utf-16-le"),
        "a\tb\n1\té\n".encode("latin-1"),
    ],
)
def test_not_text(tmp_path, content):
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=r"t.tsv: expected UTF-8"):
        read_table(tmp_path / "t.tsv")


@pytest.mark.parametrize("mark", ["\v", "\f", "\u2028", "\u2029", "\x85", "\x1c"])
def test_only_line_ends_end_a_row(tmp_path, mark):
    path = _table(tmp_path / "t.tsv", f"participant_id\tnote\tage\nsub-01\ta{mark}b\t30\n")
    assert read_table(path) == [{"participant_id": "sub-01", "note": f"a{mark}b", "age": "30"}]


def test_line_ends_of_all_systems_and_quoted_cells(tmp_path):
    path = _table(tmp_path / "t.tsv", '"participant_id"\t"age"\r"sub-01"\t"30"\r\nsub-02\t"""a"\n')
    assert [list(row.values()) for row in read_table(path)] == [["sub-01", "30"], ["sub-02", '"a']]


@pytest.mark.parametrize("cell", ["a\tb", "a\nb", 'a ""b""\r\nc'])
def test_a_quoted_cell_holds_tabs_or_line_ends(tmp_path, cell):
    path = _table(tmp_path / "t.tsv", f'id\tnote\tage\n1\t"{cell}"\t30\n2\t"x\t40\n3\t5\'11"\t50\n')
    first, *others = read_table(path)
    assert first == {"id": "1", "note": cell.replace('""', '"'), "age": "30"}
    assert [row["age"] for row in others] == ["40", "50"]  # an open quote takes no other row


@pytest.mark.parametrize(
    "header", ["participant_id,age", "age;participant_id", "participant_id|age", "session_id  age"]
)
def test_other_signs_between_columns(tmp_path, header):
    path = _table(tmp_path / "participants.tsv", f"{header}\nsub-01,30\n")
    with pytest.raises(ValueError, match=r"participants.tsv: expected tabs between columns"):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Please log in</html>", "a web page"),
        (b"PK\x03\x04 an .xlsx file", "a spreadsheet"),
        (b"/annex/objects/MD5E-s1--0.tsv", "datalad get"),
    ],
)
def test_what_stands_for_a_table_is_named(tmp_path, content, message):
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=f"t.tsv: expected a table, got something.*{message}"):
        read_table(tmp_path / "t.tsv")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *[("35", 35), (" 26,9 ", 26.9), ("89+", 89), ("-1.5e1", -15), (".5", 0.5)],
        *[("n/a", None), ("", None), ("inf", None), ("NaN", None), ("-Infinity", None)],
    ],
)
def test_numbers(cell, value):
    assert parse_number(cell) == value


@pytest.mark.parametrize(
    "cell", ["old", "4_5", "٣٤", "-", "20-25", ">89", "52/110", "1.234,5", "+"]
)
def test_a_word_is_not_a_number(cell):
    with pytest.raises(ValueError, match="expected a number or n/a, got "):
        parse_number(cell)


@pytest.mark.parametrize(("column", "value"), [("sex", 1.0), ("Gender", 1.0), ("sdmt", None)])
def test_m_is_male_in_columns_of_sexes_only(column, value):
    if value is None:
        with pytest.raises(ValueError, match="got 'M'"):
            parse_value("M", column)
    else:
        assert parse_value("M", column) == value


def test_round_trip(tmp_path):
    write_table(tmp_path / "x" / "t.tsv", ["a", "b"], [(1, "n/a")])
    assert read_table(tmp_path / "x" / "t.tsv") == [{"a": "1", "b": "n/a"}]


def test_order_of_tables_and_explicit_choice(tmp_path):
    _table(tmp_path / "participants.tsv", "participant_id\tage\nsub-01\t30\nsub-02\t50\n")
    _table(tmp_path / "sub-01/sub-01_sessions.tsv", "session_id\tage\nses-1\t31\nses-2\t32\n")
    lookup = make_lookup(tmp_path, "age")
    with pytest.raises(Contradiction, match=r"sessions says 31; participants says 30.*table:age"):
        lookup(_scan(tmp_path))
    assert lookup(_scan(tmp_path, "sub-02")) == "50"
    assert lookup(_scan(tmp_path, "sub-03")) is None
    assert make_lookup(tmp_path, "sessions:age")(_scan(tmp_path)) == "31"
    assert make_lookup(tmp_path, "participants:age")(_scan(tmp_path)) == "30"


def test_phenotype_with_sessions_and_scans_table(tmp_path):
    _table(
        tmp_path / "phenotype/sdmt.tsv",
        "participant_id\tsession_id\tsdmt_total\n01\t1\t55\n01\t2\t51\n",
    )
    _table(
        tmp_path / "sub-01/ses-1/sub-01_ses-1_scans.tsv",
        "filename\tquality\nanat/sub-01_ses-1_T1w.nii.gz\t4\n",
    )
    assert make_lookup(tmp_path, "sdmt_total")(_scan(tmp_path)) == "55"
    assert (
        make_lookup(tmp_path, "phenotype/sdmt:sdmt_total")(_scan(tmp_path, session="ses-2")) == "51"
    )
    assert make_lookup(tmp_path, "quality")(_scan(tmp_path)) == "4"


def test_two_rows_that_disagree(tmp_path):
    _table(
        tmp_path / "participants.tsv",
        "participant_id\tage\nsub-01\t30\nsub-01\t31\nsub-02\t40\nsub-02\tn/a\n",
    )
    lookup = make_lookup(tmp_path, "age")
    with pytest.raises(Contradiction, match="values 30, 31"):
        lookup(_scan(tmp_path))
    assert lookup(_scan(tmp_path, "sub-02")) == "40"
    assert rows_without_scan(tmp_path, [_scan(tmp_path)]) == ["sub-02"]
