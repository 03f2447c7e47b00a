"""Makes the kits of a consortium: keys, certificates and settings of the server and every site.

    fedbrain provision --consortium=FILE.yaml --output=FOLDER

`FOLDER/authority` holds the key that signs certificates: it stays with whoever runs this, offline.
`FOLDER/kits/NAME` goes to NAME, over a channel that both trust. The same command renews
certificates: new kits, the same authority. With `--requests=FOLDER` of files NAME.csr, which sites
make with `fedbrain site request`, the kits of these sites have no key, then and at every renewal.
"""

from fedbrain.cli import define_path, run_command

if __name__ == "__main__":
    CONSORTIUM = define_path(
        "consortium", None, "YAML file: name, server, lead, sites.", required=True
    )
    REQUESTS = define_path("requests", None, "Folder of new requests NAME.csr of sites.")
    OUTPUT = define_path("output", None, "Folder of the authority and the kits.", required=True)

    def _make() -> None:
        from fedbrain.deploy.nvflare.consortium_file import read_consortium
        from fedbrain.deploy.nvflare.kits import provision

        made = provision(read_consortium(CONSORTIUM.value), OUTPUT.value, REQUESTS.value)
        for kit, key in made.items():
            print(f"{kit}: for the key {key}, as the site must read it to you" if key else kit)

    run_command({"make": _make}, default="make")
