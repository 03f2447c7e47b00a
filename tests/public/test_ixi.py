"""IXI as it is downloaded: archives of images, and a table with doubled and contradicting rows."""

import csv
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from fedbrain.data.bids import find_scans
from fedbrain.public.ixi import NEEDED, Person, parse_image, read_people
from fedbrain.public.organise import run
from fedbrain.public.spreadsheet import read_rows
from tests.tiny import save_volume


def write_xlsx(path, rows):
    """The smallest spreadsheet with these rows."""
    space = "http://schemas.openxmlformats.org"
    kinds = f"{space}/officeDocument/2006/relationships"
    main = f'xmlns="{space}/spreadsheetml/2006/main"'

    def cell(value):
        if isinstance(value, float):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    relations = f'<Relationships xmlns="{space}/package/2006/relationships">'
    files = {
        "_rels/.rels": f'{relations}<Relationship Id="a" Type="{kinds}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'{relations}<Relationship Id="b" Type="{kinds}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{kinds}"><sheets><sheet name="Table" '
        'sheetId="1" r:id="b"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{lines}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return path


@pytest.fixture
def ixi(tmp_path):
    """A table of two people, of whom one has two rows with other ages."""
    people = [row(12.0, age=38.78), row(219.0, 2.0, age=53.08), row(219.0, 2.0, age=58.07)]
    return write_xlsx(tmp_path / "IXI.xlsx", [NEEDED, *(one.values() for one in people)])


def row(number, sex=1.0, height=170.0, weight=70.0, age=40.0):
    return dict(zip(NEEDED, (number, sex, height, weight, age)))


@pytest.mark.parametrize(
    ("rows", "person", "notes"),
    [
        ([row(12.0)], Person("40.00", "M", "170", "70"), []),
        ([row(12.0, 2.0), row(12.0, 2.0, 0.0, 0.0)], Person("40.00", "F", "170", "70"), ["2 rows"]),
        ([row(12.0, age="")], Person("n/a", "M", "170", "70"), ["no age"]),
        ([row(12.0), row(12.0, age=45.0)], Person("n/a", "M", "170", "70"), ["40.00 and 45.00"]),
        ([row(12.0), row(12.0, 2.0)], Person("40.00", "n/a", "170", "70"), ["sexes contradict"]),
        ([row(12.0, height=1850.0)], Person("40.00", "M", "n/a", "70"), ["1850 is not likely"]),
        ([row(12.0, 0.0, 0.0, 0.0)], Person("40.00", "n/a", "n/a", "n/a"), []),
        ([row(12.0, age=300.0)], Person("n/a", "M", "170", "70"), ["age 300 is not likely"]),
        ([row(12.0), row(12.0, height=180.0)], Person("40.00", "M", "n/a", "70"), ["170 and 180"]),
    ],
)
def test_rows_of_one_person(rows, person, notes):
    people, told = read_people(rows, "IXI.xls")
    assert people == {"sub-IXI012": person}
    assert len(told) == bool(notes)
    for text in notes:
        assert text in told[0]


def test_another_table_is_refused_with_what_is_missing_and_what_is_there():
    with pytest.raises(ValueError, match=r"^other\.xls: expected the table of IXI .* got: 'id'"):
        read_people([{"id": 1.0}], "other.xls")
    renamed = {**row(12.0), "SEX": 1.0}
    del renamed["SEX_ID (1=m, 2=f)"]
    with pytest.raises(ValueError, match=r"the columns 'SEX_ID \(1=m, 2=f\)', got: 'IXI_ID'"):
        read_people([renamed], "other.xls")
    with pytest.raises(ValueError, match="no row below its header"):
        read_people([], "other.xls")


def test_numbers_may_be_texts_and_what_is_no_number_of_a_person_is_told():
    texts = {name: str(value) for name, value in row(12.0).items()} | {"AGE": "38,78"}
    people, notes = read_people([texts, row(12.5), row("x"), row("")], "IXI.csv")
    assert people == {"sub-IXI012": Person("38.78", "M", "170", "70")}
    assert notes[:2] == [
        "row 3: IXI_ID 12.5 is no number of a person.",
        "row 4: IXI_ID 'x' is no number of a person.",
    ]


@pytest.mark.parametrize(("separator", "comma"), [(",", "."), (";", ","), ("\t", ".")])
def test_the_table_may_be_text(tmp_path, separator, comma):
    rows = [NEEDED, *(one.values() for one in (row(12.0, age=38.78), row(219.0)))]
    with (tmp_path / "IXI.CSV").open("w", encoding="utf-8-sig", newline="") as file:
        for cells in rows:
            texts = [str(cell).replace(".", comma) for cell in cells]
            csv.writer(file, delimiter=separator).writerow(texts)
    people, notes = read_people(read_rows(tmp_path / "IXI.CSV"), "IXI.CSV")
    assert people["sub-IXI012"] == Person("38.78", "M", "170", "70")
    assert len(people) == 2
    assert notes == []


def test_a_cell_of_text_may_have_two_lines(tmp_path):
    (tmp_path / "a.csv").write_text('IXI_ID,note\n12,"two\nlines"\n13,one\n')
    assert [one["note"] for one in read_rows(tmp_path / "a.csv")] == ["two\nlines", "one"]


@pytest.mark.parametrize("name", ["IXI012-HH-1211-DTI-00.nii.gz", "IXI12.nii", "readme.txt"])
def test_what_is_no_image(name):
    assert parse_image(name) is None


def test_the_published_table(shared):
    path = shared / "tables/IXI.xls"
    people, notes = read_people(read_rows(path), path)
    assert len(people) == 593
    assert sum(" rows" in note for note in notes) == 26
    assert sum("no age" in note for note in notes) == 28
    assert any("height_cm 1850 is not likely" in note for note in notes)
    known = [float(person.age) for person in people.values() if person.age != "n/a"]
    assert 19 < min(known) < 21
    assert 86 < max(known) < 87
    contradicting = [note for note in notes if "ages" in note]
    assert [note[:10] for note in contradicting] == ["sub-IXI219", "sub-IXI328"]


@pytest.fixture
def archive(tmp_path):
    """Two images of one person, one of another hospital, and a file of another kind."""
    names = ["IXI012-HH-1211-T1", "IXI012-HH-9999-T1", "IXI219-Guys-0900-T1", "IXI012-HH-1211-T2"]
    volume = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    for name in names:
        save_volume(tmp_path / f"in/{name}.nii.gz", volume)
    (tmp_path / "in/readme.txt").write_text("x")
    with tarfile.open(tmp_path / "IXI-T1.tar", "w") as file:
        file.add(tmp_path / "in", arcname=".")
    return tmp_path / "IXI-T1.tar"


def test_an_archive_becomes_a_tree_for_each_hospital(archive, ixi, tmp_path, capsys):
    run([archive], ixi, tmp_path / "out")
    text = capsys.readouterr().out
    assert f"{tmp_path}/out/hh: 1 people, 1 with an age; 1 T1w, 1 T2w" in text
    assert "sub-IXI219: 2 rows; ages 53.08 and 58.07 contradict each other: n/a" in text
    assert "IXI012-HH-9999-T1.nii.gz: left out: sub-IXI012 has" in text
    assert "readme.txt: left out" in text
    [scan] = find_scans(tmp_path / "out/hh")
    assert scan.path.read_bytes() == (tmp_path / "in/IXI012-HH-1211-T1.nii.gz").read_bytes()
    table = (tmp_path / "out/hh/participants.tsv").read_text().splitlines()
    assert table[1].split("\t")[:3] == ["sub-IXI012", "38.78", "M"]
    before = scan.path.stat().st_mtime_ns
    run([archive], ixi, tmp_path / "out")  # once more: nothing is unpacked again
    assert scan.path.stat().st_mtime_ns == before


def test_a_tree_of_somebody_else_is_not_touched(archive, ixi, tmp_path):
    (tmp_path / "out/hh").mkdir(parents=True)
    (tmp_path / "out/hh/participants.tsv").write_text("participant_id\n")
    (tmp_path / "out/lyon").mkdir()
    (tmp_path / "out/lyon/dataset_description.json").write_text("{}")
    with pytest.raises(ValueError, match=r"out/hh: expected a new folder, or a tree of fedbrain"):
        run([archive], ixi, tmp_path / "out")
    shutil.rmtree(tmp_path / "out/hh")
    run([archive], ixi, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/lyon").iterdir()] == ["dataset_description.json"]


def test_a_folder_becomes_links(archive, ixi, tmp_path):
    run([tmp_path / "in"], ixi, tmp_path / "out")
    [scan] = find_scans(tmp_path / "out/guys")
    assert os.path.samefile(scan.path, tmp_path / "in/IXI219-Guys-0900-T1.nii.gz")


@pytest.mark.parametrize("kept", [0, 700, 2000])
def test_an_archive_that_is_cut_is_named(archive, ixi, tmp_path, kept):
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"IXI-T1\.tar: expected .*"):
        run([archive], ixi, tmp_path / "out")
    assert not list(tmp_path.rglob("out/*/*/*/.*"))


def test_a_second_image_in_another_archive_is_told(archive, ixi, tmp_path, capsys):
    save_volume(tmp_path / "more/IXI012-HH-9999-T1.nii.gz", np.zeros((4, 4, 4), np.int16))
    run([archive, tmp_path / "more"], ixi, tmp_path / "out")
    assert capsys.readouterr().out.count("IXI012-HH-9999-T1.nii.gz: left out: sub-IXI012 has") == 2
    with pytest.raises(ValueError, match=r"none\.tar: expected .*, got nothing there\.$"):
        run([tmp_path / "none.tar"], ixi, tmp_path / "out")
    (tmp_path / "other.tar").write_text("no archive")
    with pytest.raises(ValueError, match=r"other\.tar: [^\n]*$"):
        run([tmp_path / "other.tar"], ixi, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"no spreadsheet", b"<!DOCTYPE html><html>"])
def test_what_is_no_spreadsheet_is_named(tmp_path, content):
    (tmp_path / "a.xls").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.xls: expected a spreadsheet"):
        read_rows(tmp_path / "a.xls")
    with pytest.raises(ValueError, match=r"none\.xls: .*nothing there"):
        read_rows(tmp_path / "none.xls")
    with pytest.raises(ValueError, match=r"expected a spreadsheet, got a folder"):
        read_rows(tmp_path)
    (tmp_path / "b.csv").write_bytes("IXI_ID,Größe".encode("latin-1"))
    with pytest.raises(ValueError, match=r"b\.csv: expected UTF-8 text"):
        read_rows(tmp_path / "b.csv")
