"""CPU time per synthetic subject: python -m benchmarks.synthetic"""

import time

import numpy as np

from fedbrain.data.synthetic.anatomy import atlas
from fedbrain.data.synthetic.people import HOSPITALS, draw_person
from fedbrain.data.synthetic.render import render


def main() -> None:
    """Prints the median over 30 people, healthy and with lesions, for each hospital's scanner."""
    atlas()
    for hospital, law in HOSPITALS.items():
        for ms in (False, True):
            times = []
            for i in range(30):
                person = draw_person(hospital, i, seed=0, ms=ms)
                began = time.process_time()
                shape = render(person, law.scanner).data.shape
                times.append(1000 * (time.process_time() - began))
            told = f"median {np.median(times):.0f} ms, max {max(times):.0f} ms"
            print(f"{hospital:6} {'MS' if ms else 'healthy':8} {shape}: {told}")


if __name__ == "__main__":
    main()
