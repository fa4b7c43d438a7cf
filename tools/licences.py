"""Writes the licences of all crates that are compiled into the programs: what `tools/wheel.sh` runs.

    python3 tools/licences.py THIRD-PARTY.md

One entry per crate, with its version, its SPDX expression and the texts that its authors put beside it. The crates
are those of `cargo metadata` with libtorch, without what only builds or tests; a crate that states no licence is an
error. libtorch and ONNX Runtime are not bundled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Set

from failure import Failure, run

TEXTS = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def main() -> None:
    if len(sys.argv) != 2:
        raise Failure("give the file to write: python3 tools/licences.py THIRD-PARTY.md")
    packages = compiled_in(metadata())
    unlicensed = [name(package) for package in packages if not package.get("license") and not package.get("license_file")]
    if unlicensed:
        raise Failure(f"no licence is stated by {', '.join(unlicensed)}")
    parts = ["# Licences of the crates in temper and temper-torch\n"]
    parts += [entry(package) for package in packages]
    Path(sys.argv[1]).write_text("\n".join(parts), encoding="utf-8")
    print(f"{sys.argv[1]}: {len(packages)} crates", file=sys.stderr)


def metadata() -> dict:
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "metadata", "--format-version", "1", "--features", "torch", "--locked"]
    command += ["--filter-platform", "x86_64-unknown-linux-gnu"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"cargo metadata failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def compiled_in(data: dict) -> List[dict]:
    """The packages that the root's normal dependencies lead to, by name, without the root."""
    edges: Dict[str, List[str]] = {}
    for node in data["resolve"]["nodes"]:
        normal = [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        edges[node["id"]] = normal
    root = data["resolve"]["root"]
    seen: Set[str] = {root}
    todo = [root]
    while todo:
        for found in edges[todo.pop()]:
            if found not in seen:
                seen.add(found)
                todo.append(found)
    packages = [package for package in data["packages"] if package["id"] in seen - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def name(package: dict) -> str:
    return f"{package['name']} {package['version']}"


def entry(package: dict) -> str:
    folder = Path(package["manifest_path"]).parent
    texts = sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(TEXTS))
    if package.get("license_file"):
        stated = folder / package["license_file"]
        texts += [stated] if stated.is_file() and stated not in texts else []
    lines = [f"## {name(package)}\n", f"{package.get('license') or 'see below'}; {package.get('repository') or 'no repository'}\n"]
    for text in texts:
        lines.append(f"~~~~text\n{text.read_text(encoding='utf-8', errors='replace').strip()}\n~~~~\n")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
