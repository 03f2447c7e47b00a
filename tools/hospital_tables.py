"""Writes a table for each hospital, from the two files of `region_volumes(...)`.

It is for `fedbrain harmonise`: `participant_id`, `age` in years, `sex`, and the volumes: the first
one, the whole, in mm^3, the others as shares of it.

Command: python -m tools.hospital_tables --volumes=VOLUMES.csv --demographics=DEMOGRAPHICS.csv \
    --output=FOLDER
"""

import csv
import re
from pathlib import Path

from absl import app, flags

from fedbrain.data.tables import write_table

VOLUMES = flags.DEFINE_string("volumes", None, "Columns ID, then volumes.", required=True)
DEMOGRAPHICS = flags.DEFINE_string("demographics", None, "Columns ID, Age, Sex.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "Folder of the tables.", required=True)


def main(argv: list[str]) -> None:
    """Reads both files and writes a table a hospital, named as in `IXI013-HH-1212-T1`."""
    del argv
    with Path(DEMOGRAPHICS.value).open(newline="") as file:
        people = {row["ID"]: (row["Age"], row["Sex"]) for row in csv.DictReader(file)}
    with Path(VOLUMES.value).open(newline="") as file:
        header, *rows = csv.reader(file)
    sites: dict[str, list] = {}
    for name, whole, *parts in rows:
        subject, site, *_ = name.split("-")
        shares = [f"{float(v) / float(whole):.9g}" for v in parts]
        row = (f"sub-{re.sub(r'[^0-9A-Za-z]', '', subject)}", *people[name], whole, *shares)
        sites.setdefault(site.lower(), []).append(row)
    columns = ["participant_id", "age", "sex", *(f"region{k}" for k in header[1:])]
    for site, its_rows in sites.items():
        write_table(Path(OUTPUT.value) / f"{site}.tsv", columns, its_rows)
        print(f"{site}: {len(its_rows)} people, {len(columns) - 3} volumes")


if __name__ == "__main__":
    app.run(main)
