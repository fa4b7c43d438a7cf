#!/usr/bin/env python3
"""Runs or resumes an experiment, and renders its table.

    experiments/run.py EXPERIMENT.toml --data DATA --models MODELS --out OUT [--scale small|full]
                       [--images DIR] [--only RUN,...] [--seeds 0,1] [--render]

An experiment is a TOML file beside this script. Every run of it is trained by `temper harden`, once for each seed,
and judged by `temper audit`. What is done is not done again: a finished run is marked `finished`, an interrupted one
goes on from its checkpoint, a judged one has its report. Every row is appended to OUT/EXPERIMENT/results.jsonl as
soon as it is there, with the commands that made it, so that an interrupted experiment loses nothing.
--images judges on other images than the experiment's own, such as Set14/HR, into results of their own: `results-Set14-HR.jsonl`.
--render does nothing but print the table. Only Python's own library is needed.

Keys of an experiment:
    title, question         what it is, and what it decides
    [judge.NAME]            how every run of this size is judged: images (HR, below DATA), budget, attacks, and any
                            other flag of `temper audit`
    [scale.NAME]            settings of every run of this size, as flags of `temper harden`
    [[run]]                 name, and either model (a file below MODELS, judged as it is) or flags of its own;
                            from (a file below MODELS) is what is fine-tuned; paper, what the paper says of it
Flags are keys without dashes: steps = 150 is --steps 150, and true is the flag alone; data and validate are folders
below DATA, weights a file below MODELS. Where a run validates, its row has the gain on noise in Phi and the share of collapsed channels, too.
"""

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_FLAGS = {"name", "model", "from", "paper"}
# A channel of Phi whose standard deviation is at most this, in bins of width 1, carries next to nothing.
COLLAPSED = 3.0


def main():
    given = arguments()
    experiment = tomllib.loads(given.experiment.read_text())
    folder = given.out / given.experiment.stem / given.scale
    results = folder / f"results{suffix(given)}.jsonl"
    if not given.render:
        folder.mkdir(parents=True, exist_ok=True)
        for seed in given.seeds:
            for run in experiment["run"]:
                if not given.only or run["name"] in given.only:
                    row = measure(given, experiment, run, seed, folder)
                    append(results, row)
    print(render(experiment, given.scale, read(results)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the images")
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the models to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--scale", default="small", help="the [scale.NAME] to take")
    parser.add_argument("--images", help="HR images to judge on, below DATA, in place of the experiment's own")
    parser.add_argument("--only", type=names, default=[], help="these runs alone")
    parser.add_argument("--seeds", type=names, default=["0"], help="seeds, separated by commas")
    parser.add_argument("--render", action="store_true", help="print the table of what is there")
    return parser.parse_args()


def names(text):
    return text.split(",")


def suffix(given):
    """What tells the results on other images from those on the experiment's own."""
    return "-" + given.images.strip("/").replace("/", "-") if given.images else ""


def measure(given, experiment, run, seed, folder):
    """Trains and judges a run as far as that is not done, and gives its row."""
    out = folder / run["name"] / f"seed{seed}"
    train, model = training(given, experiment, run, seed, out)
    # Not the model or its card, which an interrupted run leaves, too.
    finished = out / "finished"
    if train and not finished.exists():
        resumed = ["--resume"] if (out / "checkpoint.safetensors").exists() else []
        call(train + resumed)
        finished.touch()
    judged = out / f"audit{suffix(given)}"
    audit = judging(given, experiment["judge"][given.scale], model, judged)
    if not (judged / "report.json").exists():
        call(audit)
    report = json.loads((judged / "report.json").read_text())
    validations = out / "validation.jsonl"
    last = json.loads(validations.read_text().splitlines()[-1]) if validations.exists() else {}
    commands = [shlex.join(command) for command in (train, audit) if command]
    return row_of(run["name"], seed, report, last) | {"commands": commands}


def training(given, experiment, run, seed, out):
    """The command that trains a run, or none where its model is judged as it is; and the model."""
    if "model" in run:
        return None, given.models / run["model"]
    settings = experiment["scale"][given.scale] | {key: run[key] for key in run if key not in NOT_FLAGS}
    command = [program(), "harden", "--quiet", "--no-audit", "--seed", seed, "--out", str(out)]
    if "from" in run:
        command += ["--from", str(given.models / run["from"])]
    for key, value in settings.items():
        value = given.data / value if key in ("data", "validate") else value
        value = given.models / value if key == "weights" else value
        command += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return command, out / "model.onnx"


def judging(given, judge, model, out):
    """The command that judges a model."""
    command = [program(), "audit", str(model), "--quiet", "--seed", "0", "--out", str(out)]
    judge = judge | ({"images": given.images} if given.images else {})
    for key, value in judge.items():
        key, value = ("truth", given.data / value) if key == "images" else (key, value)
        value = ",".join(value) if isinstance(value, list) else str(value)
        command += [f"--{'attack' if key == 'attacks' else key}", value]
    return command


def program():
    return os.environ.get("TEMPER") or str(ROOT / "target" / "debug" / "temper")


def call(command):
    print("$", shlex.join(command), file=sys.stderr, flush=True)
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"error: this command failed; what was done is kept: {shlex.join(command)}")


def row_of(name, seed, report, validation):
    """What a report says of one model, and the last validation of Phi, as one row: means over the images, in dB."""
    spreads = validation.get("channel_spreads", [])
    robust = {found["attack"]: found["sr_psnr"] for found in report["summary"]}
    return {
        "run": name,
        "seed": seed,
        "clean": statistics.fmean(found["psnr"] for found in report["clean"]),
        "robust": robust,
        # The worst attack of every image, then the mean: what the mean of any one attack does not show.
        "worst": report["worst"][0]["sr_psnr"],
        "bicubic": bicubic(report),
        "images": len(report["images"]),
        "sha256": report["models"][0]["sha256"],
        "temper": report["temper"],
        "validated": validation.get("psnr"),
        "gain": validation.get("gain"),
        "collapsed": sum(spread <= COLLAPSED for spread in spreads) / len(spreads) if spreads else None,
    }


def bicubic(report):
    """Clean PSNR of a bicubic upscale, and what is left of it under the perturbations made for the model."""
    kept = [row["lr_psnr"] - 20 * math.log10(row["bicubic_amplification"]) for row in report["rows"]]
    return {"clean": statistics.fmean(found["bicubic_psnr"] for found in report["clean"]), "worst": min(kept)}


def mixed(plain, clean):
    """At least what a mix of a plain network and bicubic keeps at a clean PSNR: robustness for nothing.

    Of t S + (1 - t) B the squared error is at most t times that of S plus 1 - t times that of B (convexity), and the
    root mean square change under attack at most t times the one plus 1 - t times the other (triangle inequality).
    Means over images in dB stand for images here. None where no t in [0, 1] has that clean PSNR.
    """
    [own, other, wanted] = [10 ** (-psnr / 10) for psnr in (plain["clean"], plain["bicubic"]["clean"], clean)]
    share = 1.0 if wanted <= own else (other - wanted) / (other - own)
    if share < 0:
        return None
    [own, other] = [10 ** (-psnr / 20) for psnr in (plain["worst"], plain["bicubic"]["worst"])]
    return -20 * math.log10(share * own + (1 - share) * other)


def read(results):
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def append(results, row):
    """Adds a row, unless the same one is there."""
    if row not in read(results):
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")


def render(experiment, scale, rows):
    """The experiment's table in Markdown: the mean over seeds, and half their range where there are several."""
    attacks = experiment["judge"][scale]["attacks"]
    head = ["run", "seeds", "clean PSNR", "validation", *(f"SR PSNR, {attack}" for attack in attacks), "worst", "mix", "gain", "collapsed", "paper"]
    lines = [f"**{experiment['title']}.** {experiment['question']}", ""]
    lines += [line(head), line(["---"] * len(head))]
    plain = None
    for run in experiment["run"]:
        latest = list({row["seed"]: row for row in rows if row["run"] == run["name"]}.values())
        plain = latest[0] if "model" in run and latest else plain
        cells = numbers(latest, plain, attacks)
        lines.append(line([run["name"], str(len(latest)), *cells, run.get("paper", "-")]))
    return "\n".join(lines)


def numbers(rows, plain, attacks):
    """Clean PSNR as judged and of the last validation, SR PSNR under each attack and under the worst of an image,
    what a mix of the plain network and bicubic keeps at that clean PSNR, gain, and the share of collapsed channels;
    `-` for what was not run."""
    parts = [lambda row: row["clean"], lambda row: row["validated"]]
    parts += [lambda row, attack=attack: row["robust"].get(attack) for attack in attacks]
    parts += [lambda row: row["worst"], lambda row: plain and mixed(plain, row["clean"])]
    parts += [lambda row, key=key: row[key] for key in ("gain", "collapsed")]
    return [cell([value for value in map(part, rows) if value is not None]) for part in parts]


def cell(values):
    if not values:
        return "-"
    spread = f" ± {(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def line(cells):
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
