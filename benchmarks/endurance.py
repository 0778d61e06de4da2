"""Does the library endure kills, full disks, threads, long use and mutated input? Count failures.

``python benchmarks/endurance.py`` runs every check, prints a table and writes
benchmarks/results/endurance.json; ``--quick`` runs small versions and ``--only kills threads`` a
few, both into endurance_part.json. "broken" counts promises that were not kept; if there are any,
the exit status is 1. Mutations are seeded: a run repeats the last one. Kills and limits on the size
of files are the kernel's own; as root, a tmpfs is filled too, and the process that tries read-only
folders gives up root's right to write to them.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from endurance_checks.files import mutated_files
from endurance_checks.kills import killed_training
from endurance_checks.programs import mutated_programs
from endurance_checks.service import many_fits, threads
from endurance_checks.storage import full_disk, read_only
from report import report
from tqdm.auto import tqdm

Check = Callable[[], dict[str, Any]]


def checks(folder: Path, quick: bool) -> dict[str, tuple[str, Check]]:
    """Name, title and function of every check."""

    def size(full: int, small: int) -> int:
        return small if quick else full

    return {
        "kills": (
            "kill -9 in meta-training",
            lambda: killed_training(size(20, 3), size(400, 60), folder / "kills"),
        ),
        "disk": ("full disk", lambda: full_disk(folder / "disk")),
        "read-only": ("read-only folders", lambda: read_only(folder / "read-only")),
        "threads": ("threads on one estimator", lambda: threads(8, size(25, 5))),
        "fits": ("many fits", lambda: many_fits(size(1000, 100))),
        "programs": ("mutated programs", lambda: mutated_programs(size(10_000, 500))),
        "weights": (
            "mutated weights",
            lambda: mutated_files("weights", size(10_000, 500), folder / "weights"),
        ),
        "states": (
            "mutated run states",
            lambda: mutated_files("run states", size(1_000, 100), folder / "states"),
        ),
    }


def main() -> None:
    """Run the checks, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small versions: a minute")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="kills, disk, ...")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        todo = checks(Path(folder), args.quick)
        unknown = set(args.only or ()) - todo.keys()
        if unknown:
            parser.error(f"--only takes {', '.join(todo)}, got {', '.join(sorted(unknown))}")
        for name in tqdm(args.only or todo, desc="checks"):
            title, check = todo[name]
            start = time.monotonic()
            row = check()
            notes = row.pop("notes")
            rows.append({"test": title, **row, "seconds": time.monotonic() - start})
            for note, count in notes.items():
                print(f"{title}: {count} x {note}", file=sys.stderr)
    report("endurance_part" if args.quick or args.only else "endurance", rows)
    sys.exit(any(row["broken"] for row in rows))


if __name__ == "__main__":
    main()
