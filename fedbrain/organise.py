"""Organises the download of a public data set as BIDS trees, one for each of its hospitals.

    fedbrain organise IXI-T1.tar,IXI-T2.tar --table=IXI.xls --output=FOLDER

For IXI, whose images come as archives and whose people in a spreadsheet; docs/public_data.md tells
of this and of data sets that are BIDS trees already. Archives are unpacked; files of a folder
become links to it. Needs the extra `prepare`.
"""

from fedbrain import cli

if __name__ == "__main__":
    SOURCES = cli.define_paths(
        "sources", "Archives of images, or folders of them, with commas between.", required=True
    )
    TABLE = cli.define_path(
        "table", None, "The spreadsheet IXI.xls, or .xlsx, .csv.", required=True
    )
    OUTPUT = cli.define_path("output", None, "Folder for the trees.", required=True)

    def _organise() -> None:
        from fedbrain.experiments.writing import require_writable, writing
        from fedbrain.public.organise import run

        require_writable(OUTPUT.value, flag="output")
        with writing(OUTPUT.value, flag="output"):
            run(SOURCES.value, TABLE.value, OUTPUT.value)

    cli.run_flags(
        _organise, interrupted="What was written is kept: the same command goes on.", word="sources"
    )
