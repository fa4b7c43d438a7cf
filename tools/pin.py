"""Prints the pin of a wheel, to be pasted into `setup.py` or `photos.py`.

    python3 -m pip download --no-deps --only-binary=:all: --python-version 3.11 \\
        --platform manylinux_2_28_x86_64 --dest /tmp/pin torch==2.11.0
    python3 tools/pin.py /tmp/pin/torch-*.whl torch/include/ torch/lib/libtorch_cpu.so ...

The members are those that the part takes. Members less than a quarter of a megabyte apart share
a range; the last range holds the archive's table of contents.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import List, Tuple

from wheels import Wheel, members, sha256

GAP = 1 << 18


def spans(archive: zipfile.ZipFile, taken: List[str], size: int) -> List[Tuple[int, int]]:
    """The byte ranges of the archive that hold the members and the table of contents."""
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    starts = [info.header_offset for info in infos] + [archive.start_dir]
    wanted = set(taken)
    found = [
        (starts[i], starts[i + 1]) for i, info in enumerate(infos) if info.filename in wanted
    ] + [(archive.start_dir, size)]
    merged = [found[0]]
    for start, stop in found[1:]:
        if start - merged[-1][1] < GAP:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


def pin(file: Path, wanted: List[str]) -> Tuple[Wheel, int]:
    """The pin, and the size of the members unpacked."""
    size = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        taken = [name for member in wanted for name in members(archive, member)]
        ranges = spans(archive, taken, size)
        unpacked = sum(archive.getinfo(name).file_size for name in taken)
    total = hashlib.sha256()
    with open(file, "rb") as wheel:
        for start, stop in ranges:
            wheel.seek(start)
            total.update(wheel.read(stop - start))
    name, version = file.name.split("-")[:2]
    name = name.replace("_", "-")
    digest = total.hexdigest()
    return Wheel(name, version, file.name, size, sha256(file), tuple(ranges), digest), unpacked


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: pin.py WHEEL MEMBER...")
    wheel, unpacked = pin(Path(sys.argv[1]), sys.argv[2:])
    print("Wheel(")
    for field, value in zip(Wheel._fields, wheel):
        print(f"    {field}={value!r},".replace("'", '"'))
    print(f")  # {wheel.needed():,} bytes are fetched; {unpacked:,} unpacked")


if __name__ == "__main__":
    main()
