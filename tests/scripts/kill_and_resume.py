#!/usr/bin/env python3
"""Kills `temper audit` and `temper harden` (SIGKILL) at random moments, and compares what they end with.

    python3 tests/scripts/kill_and_resume.py audit|harden [--temper target/debug/temper] [--tries 100] [--seed 0]

One run is left alone and timed. A try starts the same command in a fresh folder, kills it at a moment drawn
uniformly from that time, starts it again (`harden` with --resume, or with --overwrite where no checkpoint was
written yet) until three runs were killed, and lets the last one end. The outcome must be that of the run that was
left alone: report.json but for `timing`, or the bytes of model.onnx. No temporary file may be left.

Prints one line per try that differs, then a line with the counts. Exit status 1 where a try differs.
"""

import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib

KILLS = 3
AUDIT = (
    "audit model.onnx --images photos --runtime tract --attack ifgsm,square --budget 2,8 --iterations 6"
    " --queries 12 --out out --cache kept"
).split()
HARDEN = (
    "harden --device cpu --data photos --out out --no-audit --features 4 --blocks 1 --scale 2 --batch 2 --patch 8"
    " --steps 60 --ema 0.9 --adversarial 8 --schedule cosine --save-every 3"
).split()


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("verb", choices=["audit", "harden"])
    options.add_argument("--temper", type=pathlib.Path, default=pathlib.Path("target/debug/temper"))
    options.add_argument("--tries", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    case = Case(options.temper.resolve(), options.verb)
    draw = random.Random(options.seed)
    start = time.monotonic()
    whole = case.attempt(lambda _: None)[0]
    duration = time.monotonic() - start
    killed = different = 0
    for index in range(options.tries):
        outcome, kills = case.attempt(lambda run: draw.uniform(0, duration) if run < KILLS else None)
        killed += kills
        if outcome != whole:
            different += 1
            print(f"try {index}: the outcome differs")
    print(
        f"{options.verb}: {options.tries} tries, {killed} kills within {duration:.1f} s, {different} differ"
        f" (seed {options.seed})"
    )
    return 1 if different else 0


class Case:
    """A command whose outcome is to be the same however often it is killed."""

    def __init__(self, temper, verb):
        self.temper, self.verb = temper, verb
        self.model = None
        if verb == "audit":
            with tempfile.TemporaryDirectory() as folder:
                photographs(pathlib.Path(folder))
                self.start([word.replace("60", "2") for word in HARDEN], folder).wait()
                self.model = (pathlib.Path(folder) / "out/model.onnx").read_bytes()

    def start(self, arguments, folder):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        quiet = subprocess.DEVNULL
        return subprocess.Popen([self.temper, *arguments], cwd=folder, env=environment, stdout=quiet, stderr=quiet)

    def attempt(self, moment):
        """Runs the command until it ends; `moment` gives the seconds after which to kill a run, or None."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            photographs(folder)
            if self.model:
                (folder / "model.onnx").write_bytes(self.model)
            kills = run = 0
            while True:
                process = self.start(self.arguments(folder), folder)
                try:
                    status = process.wait(moment(run))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                run += 1
            if status != 0:
                sys.exit(f"the command ended with {status} after {kills} kills")
            return self.outcome(folder), kills

    def arguments(self, folder):
        if self.verb == "audit":
            return AUDIT
        out = folder / "out"
        if (out / "checkpoint.safetensors").exists():
            return [*HARDEN, "--resume"]
        return [*HARDEN, "--overwrite"] if out.exists() else HARDEN

    def outcome(self, folder):
        out = folder / "out"
        left = [path.name for path in out.rglob("*") if path.name.startswith(".") and path.is_file()]
        if self.verb == "harden":
            return (out / "model.onnx").read_bytes(), left
        report = json.loads((out / "report.json").read_text())
        del report["timing"]
        return report, left


def photographs(folder):
    """Two pictures of smooth shades in `photos`, as PNG."""
    (folder / "photos").mkdir()
    for index, (height, width) in enumerate([(40, 50), (33, 61)]):
        rows = []
        for y in range(height):
            row = bytes((index * 31 + c * 50 + y * 3 + x * 2) % 256 for x in range(width) for c in range(3))
            rows.append(b"\0" + row)
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        body = chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
        (folder / f"photos/{index}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    sys.exit(main())
