"""A site behind a proxy that lets one port out, with delay and little bandwidth: python -m
tests.faults.proxy --folder=DIR.

The site lives in a network namespace with one cable to the outside, where a relay (the proxy)
listens on one port. Rules drop everything else that wants out. Needs root, `ip` and `nft`. Compares
the time of the rounds with bytes / bandwidth + training, both from the site's own record.
"""

import contextlib
import datetime
import json
import subprocess
import sys
from pathlib import Path

from absl import app, flags

from tests.faults.consortium import Consortium, wait_for
from tests.faults.relay import Relay

NAME, HOST, INSIDE, OUTSIDE = "fedbrain_site", "fl.test", "10.77.9.2", "10.77.9.1"
MODEL = "adapted_sfcn(channels=(64, 128, 256, 512), dropout=0.2)"
RULES = """table inet f {{
chain out {{
type filter hook output priority 0; policy drop;
oifname "lo" accept
ip daddr {outside} tcp dport {port} accept
}}
}}
"""


def sh(line: str) -> None:
    """Runs a command; the sentence of a failure is its own."""
    subprocess.run(line, shell=True, check=True)


@contextlib.contextmanager
def namespace():
    """A namespace with one cable; the server's name leads into it from both sides."""
    hosts, own = Path("/etc/hosts"), Path(f"/etc/netns/{NAME}")
    before = hosts.read_text()
    try:
        sh(
            f"ip netns add {NAME}; ip link add fb_out type veth peer name fb_in; ip link set fb_in"
            f" netns {NAME}"
        )
        sh(f"ip addr add {OUTSIDE}/24 dev fb_out; ip link set fb_out up")
        sh(
            f"ip netns exec {NAME} sh -c 'ip addr add {INSIDE}/24 dev fb_in; ip link set fb_in up;"
            " ip link set lo up'"
        )
        own.mkdir(parents=True, exist_ok=True)
        (own / "hosts").write_text(f"127.0.0.1 localhost\n{OUTSIDE} {HOST}\n")
        hosts.write_text(before + f"127.0.0.1 {HOST}\n")
        yield
    finally:
        hosts.write_text(before)
        subprocess.run(
            f"ip netns del {NAME}; ip link del fb_out; rm -rf {own}",
            shell=True,
            stderr=subprocess.DEVNULL,
        )


def account(audit: Path, rounds: int) -> dict[str, float]:
    """Of the site's record: seconds of its own work, and bytes each way, from the first order to
    train to the last sums.
    """
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    asked = [line for line in lines if line["kind"] in ("model", "train", "validated", "update")]
    first = next(
        k for k, line in enumerate(asked) if line["kind"] == "train" and line["round"] == 1
    )  # round 0 compiles
    last = max(
        k for k, line in enumerate(asked) if line["kind"] == "validated" and line["round"] == rounds
    )
    times = [datetime.datetime.fromisoformat(line["time"]).timestamp() for line in asked]
    work = sum(times[k + 1] - times[k] for k in range(first, last) if asked[k]["direction"] == "in")
    ways = {
        way: sum(line["bytes"] for line in asked[first : last + 1] if line["direction"] == way)
        for way in ("in", "out")
    }
    return {
        "work_s": work,
        "bytes_in": ways["in"],
        "bytes_out": ways["out"],
        "wall_s": times[last] - times[first],
    }


def main(argv: list[str]) -> None:
    """Runs five rounds and prints the account."""
    del argv
    folder, rounds = Path(FOLDER.value).absolute(), ROUNDS.value
    folder.mkdir(parents=True, exist_ok=True)
    rate = MBITS.value * 1e6
    with namespace():
        made = Consortium(folder, host=HOST)
        relay = Relay(made.port, bits_per_second=rate, delay_s=DELAY.value, host=OUTSIDE)
        made.find_server_at("amber", relay.port)
        rules = RULES.format(outside=OUTSIDE, port=relay.port)
        subprocess.run(
            ["ip", "netns", "exec", NAME, "nft", "-f", "-"], input=rules, text=True, check=True
        )
        shut = ["ip", "netns", "exec", NAME, "bash", "-c", f"echo > /dev/tcp/{OUTSIDE}/{made.port}"]
        if subprocess.run(["timeout", "3", *shut], stderr=subprocess.DEVNULL).returncode == 0:
            raise RuntimeError(
                "the server's own port can be reached from inside: the rules do not hold"
            )
        made.start("server", "birch", "cedar")
        made.start("amber", within=("ip", "netns", "exec", NAME))
        supervisor = made.run(folder / "run", rounds=rounds, log=folder / "log.txt", model=MODEL)
        try:
            wait_for(
                lambda: (folder / "run/results.json").is_file() or supervisor.poll(),
                seconds=1500,
                every=1,
            )
        finally:
            supervisor.kill()
            made.stop()
    told = account(made.kit("amber") / "fedbrain/audit.jsonl", rounds)
    line_s = 8 * (told["bytes_in"] + told["bytes_out"]) / rate
    expected = line_s + told["work_s"]
    result = {
        **told,
        "rounds": rounds,
        "line_s": line_s,
        "expected_s": expected,
        "ratio": told["wall_s"] / expected,
    }
    print(json.dumps({**result, "relay_bytes": relay.bytes}))
    sys.exit(0 if result["ratio"] <= 1.3 else 1)


if __name__ == "__main__":
    FOLDER = flags.DEFINE_string("folder", None, "Work folder.", required=True)
    ROUNDS = flags.DEFINE_integer("rounds", 5, "Of training.")
    MBITS = flags.DEFINE_float("mbits", 10.0, "Megabits per second, each way.")
    DELAY = flags.DEFINE_float("delay_s", 0.05, "Seconds, each way.")
    app.run(main)
