"""Holds experiments/run.py to what it promises: nothing is done twice, nothing done is lost, every experiment reads."""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "experiments" / "run.py"

# Takes the program's place: notes its arguments and writes what `temper` would; fails where FAIL names its verb.
PROGRAM = """#!/usr/bin/env python3
import json, os, pathlib, sys
verb, out = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
out.mkdir(parents=True, exist_ok=True)
if verb == "harden":
    (out / "checkpoint.safetensors").touch()
    (out / "MODEL_CARD.md").touch()  # as an interrupted run, too
if os.environ.get("FAIL") == verb:
    sys.exit(3)
if verb == "harden":
    (out / "model.onnx").touch()
    (out / "validation.jsonl").write_text('{"psnr": 33.0, "gain": 0.5, "channel_spreads": [1.0, 30.0]}\\n')
else:
    seed = int("seed1" in str(out))
    report = {
        "summary": [{"attack": "apgd", "sr_psnr": 30.0 + seed}],
        "worst": [{"sr_psnr": 29.0 + seed}],
        "clean": [{"psnr": 31.0, "bicubic_psnr": 28.0}, {"psnr": 32.0, "bicubic_psnr": 28.0}],
        "rows": [{"lr_psnr": 36.0, "bicubic_amplification": 0.1 ** 0.2}],
        "images": [1, 2],
        "models": [{"sha256": "0"}],
        "temper": {"version": "0"},
    }
    (out / "report.json").write_text(json.dumps(report))
"""

EXPERIMENT = """
title = "A trial"
question = "Is it kept?"
[judge.small]
images = "HR"
budget = 4
attacks = ["apgd", "fda"]
iterations = 50
runtime = "ort"
[scale.small]
data = "train"
steps = 9
[[run]]
name = "given"
model = "a.onnx"
[[run]]
name = "tuned"
from = "a.onnx"
steps = 7
amp = true
paper = "27.54 clean"
"""


sys.path.insert(0, str(SCRIPT.parent))
import run  # noqa: E402


class Mix(unittest.TestCase):
    def test_a_mix_goes_from_the_network_to_bicubic_and_no_further(self):
        plain = {"clean": 31.0, "worst": 22.0, "bicubic": {"clean": 28.0, "worst": 40.0}}
        self.assertAlmostEqual(run.mixed(plain, 31.5), 22.0)
        self.assertAlmostEqual(run.mixed(plain, 28.0), 40.0)
        self.assertTrue(22.0 < run.mixed(plain, 30.5) < run.mixed(plain, 29.0) < 40.0)
        self.assertIsNone(run.mixed(plain, 27.0))


class Experiments(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "temper").write_text(PROGRAM)
        (self.folder / "temper").chmod(0o755)
        (self.folder / "trial.toml").write_text(EXPERIMENT)

    def run_it(self, *more, fail=""):
        """Runs the trial; gives what it printed, its exit status, and the calls of the program so far."""
        calls = self.folder / "calls"
        surroundings = os.environ | {"TEMPER": str(self.folder / "temper"), "CALLS": str(calls), "FAIL": fail}
        command = [sys.executable, str(SCRIPT), str(self.folder / "trial.toml"), "--out", str(self.folder / "out")]
        done = subprocess.run([*command, *more], env=surroundings, capture_output=True, text=True)
        lines = calls.read_text().splitlines() if calls.exists() else []
        return done.stdout, done.returncode, [json.loads(line) for line in lines]

    def test_a_run_is_trained_and_judged_once_and_its_row_is_kept(self):
        table, status, calls = self.run_it("--seeds", "0,1")
        self.assertEqual(status, 0)
        # The given model is judged, the other is trained and judged; both for both seeds.
        self.assertEqual([call[0] for call in calls], ["audit", "harden", "audit"] * 2)
        harden = " ".join(calls[1])
        self.assertIn("--data data/train --steps 7 --amp", harden)
        self.assertIn("--from models/a.onnx", harden)
        self.assertNotIn("--paper", harden)
        self.assertIn("| given | 2 | 31.50 ± 0.00 | - | 30.50 ± 0.50 | - | 29.50 ± 0.50 | 29.00 ± 0.00 | - | - | - |", table)
        self.assertIn("| 0.50 ± 0.00 | 0.50 ± 0.00 | 27.54 clean |", table)
        again, _, later = self.run_it("--seeds", "0,1")
        self.assertEqual((again, len(later)), (table, len(calls)))
        rows = (self.folder / "out/trial/small/results.jsonl").read_text().splitlines()
        self.assertEqual(len(rows), 4)
        self.assertEqual(self.run_it("--render")[0], table)

    def test_other_images_judge_the_same_models_into_results_of_their_own(self):
        self.run_it()
        table, status, calls = self.run_it("--images", "Set14/HR")
        self.assertEqual(status, 0)
        self.assertEqual([call[0] for call in calls[3:]], ["audit", "audit"])
        self.assertIn("--truth data/Set14/HR", " ".join(calls[3]))
        self.assertIn("| given | 1 |", table)
        folder = self.folder / "out/trial/small"
        for name in "results.jsonl", "results-Set14-HR.jsonl":
            self.assertEqual(len((folder / name).read_text().splitlines()), 2)

    def test_what_was_interrupted_goes_on(self):
        _, status, _ = self.run_it(fail="harden")
        self.assertNotEqual(status, 0)
        table = self.run_it("--render")[0]
        self.assertIn("| given | 1 |", table)
        self.assertIn("| tuned | 0 | - |", table)
        _, status, calls = self.run_it()
        self.assertEqual(status, 0)
        self.assertEqual([call[0] for call in calls], ["audit", "harden", "harden", "audit"])
        self.assertNotIn("--resume", calls[1])
        self.assertIn("--resume", calls[2])

    def test_every_experiment_reads_and_names_each_run_once(self):
        found = sorted((ROOT / "experiments").glob("*.toml"))
        self.assertTrue(found)
        for path in found:
            experiment = tomllib.loads(path.read_text())
            names = [run["name"] for run in experiment["run"]]
            self.assertEqual(len(names), len(set(names)), path.name)
            self.assertTrue(experiment["title"] and experiment["question"].endswith("?"), path.name)
            for sizes in experiment["scale"], experiment["judge"]:
                self.assertEqual(set(sizes), {"small", "full"}, path.name)


if __name__ == "__main__":
    unittest.main()
