"""Holds `Cargo.toml` to one compilation of the large crates, whatever is being built.

tract takes minutes to compile. Cargo compiles a crate once for each set of features that the crates
below it are asked for, and the tests, or torch-sys, may ask more of them than the program alone. This
compares what `cargo build`, `cargo test` and a build without libtorch ask of every crate below
tract; `Cargo.toml` says how a difference is removed.
"""

import os
import shlex
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAYS = {
    "cargo test": ["--edges", "normal,build,dev"],
    "cargo build": ["--edges", "normal,build"],
    "cargo test --no-default-features": ["--edges", "normal,build,dev", "--no-default-features"],
}


def crates_below(crate, arguments):
    """Each crate below this one, with its version and the features it is compiled with."""
    command = [*shlex.split(os.environ.get("CARGO", "cargo")), "tree", "--no-dedupe", *arguments]
    command += ["--prefix", "depth", "--format", "\t{p}\t{f}"]
    tree = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    found, top = set(), None
    for line in tree.splitlines():
        depth, tab, rest = line.partition("\t")
        if not tab:  # a heading such as [build-dependencies]
            continue
        if top is not None and int(depth) <= top:
            top = None
        if top is None and rest.startswith(f"{crate} "):
            top = int(depth)
        if top is not None:
            found.add(rest)
    return found


class OneBuild(unittest.TestCase):
    def test_tract_is_compiled_once_for_tests_for_the_program_and_without_libtorch(self):
        ways = {way: crates_below("tract-onnx", arguments) for way, arguments in WAYS.items()}
        base = ways["cargo test"]
        self.assertGreater(len(base), 50)
        for way, crates in ways.items():
            self.assertEqual(sorted(crates ^ base), [], f"{way} asks for other features")


if __name__ == "__main__":
    unittest.main()
