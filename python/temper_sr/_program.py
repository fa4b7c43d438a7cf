"""Starting the program, and what goes in and out of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Optional, Sequence, Tuple, Union

if TYPE_CHECKING:
    import numpy as np

    Images = Union[str, os.PathLike, np.ndarray, Iterable[np.ndarray]]

PathLike = Union[str, "os.PathLike[str]"]


class TemperError(RuntimeError):
    """What `temper` said when it refused; `code` is its exit code (2 bad input, 3 a runtime failed)."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


def program() -> str:
    """The path of `temper`: the one that was installed with this package, else the one on the PATH."""
    installed = Path(sys.prefix) / "bin" / "temper"
    found = str(installed) if installed.is_file() else shutil.which("temper")
    if found is None:
        raise TemperError("`temper` is neither in this environment nor on the PATH; `pip install temper-sr`", 2)
    return found


def audit(
    model: Union[PathLike, Sequence[PathLike]],
    images: "Images",
    *flags: str,
    out: Optional[PathLike] = None,
) -> "dict[str, Any]":
    """Attacks a model, or several, and returns the report as a dictionary (the keys of `report.json`).

    `images` is a folder of LR images, one array or several: height x width x 3, uint8, or floats on [0, 1], which are
    rounded to 8 bits. `flags` are those of `temper audit`, as in `audit(m, x, "--budget", "4")`. `out` keeps the
    report and the page on disk. A missed threshold (`--min-sr-psnr`) is no error: the report says it.
    """
    models = [model] if isinstance(model, (str, os.PathLike)) else list(model)
    with tempfile.TemporaryDirectory(prefix="temper-") as scratch:
        folder = _folder_of(images, Path(scratch) / "images")
        written = Path(out) if out is not None else Path(scratch) / "audit"
        arguments = ["audit", *map(os.fspath, models), "--images", os.fspath(folder), "--out", os.fspath(written)]
        _run([*arguments, *flags], accepted=(0, 1))
        return json.loads((written / "report.json").read_text(encoding="utf-8"))


def gradient(
    model: PathLike, size: Tuple[int, int], *flags: str
) -> "Callable[[np.ndarray, np.ndarray], Tuple[float, np.ndarray]]":
    """The gradient of ||S(x) - target||_2 with respect to x, for LR images of `size` (height, width).

    Returns a function of `x` (1 x C x height x width, float32, in the model's own range) and `target` (the model's
    output at that size) that gives the distance and its gradient, of the shape of `x`. At `target = S(x)` the gradient
    of a distance does not exist and comes as zero: start a little beside it. `flags` are those of `temper grad`;
    with "--dynamic" the function takes other sizes too, where the model's gradient knows none.
    """
    try:
        import numpy as np
        import onnxruntime
    except ImportError as missing:
        raise TemperError(f"{missing}; `pip install temper-sr[ort]`", 2) from missing
    with tempfile.TemporaryDirectory(prefix="temper-") as scratch:
        written = os.path.join(scratch, "gradient.onnx")
        _run(["grad", os.fspath(model), "--input", "x".join(map(str, size)), "-o", written, *flags])
        session = onnxruntime.InferenceSession(written, providers=onnxruntime.get_available_providers())
    image, target = (one.name for one in session.get_inputs())

    def step(x: "np.ndarray", toward: "np.ndarray") -> "Tuple[float, np.ndarray]":
        feeds = {image: np.asarray(x, dtype=np.float32), target: np.asarray(toward, dtype=np.float32)}
        value, slope = session.run(["value", "gradient"], feeds)
        return float(value), slope

    return step


def _run(arguments: Sequence[str], accepted: Tuple[int, ...] = (0,)) -> None:
    done = subprocess.run([program(), "--quiet", *arguments], capture_output=True, text=True)
    if done.returncode not in accepted:
        message = done.stderr.strip().rpartition("error: ")[2] or f"temper ended with code {done.returncode}"
        raise TemperError(message, done.returncode)


def _folder_of(images: "Images", scratch: Path) -> Path:
    """The folder itself, or one with the arrays written to it."""
    if isinstance(images, (str, os.PathLike)):
        return Path(images)
    arrays = [images] if getattr(images, "ndim", None) == 3 else list(images)
    if not arrays:
        raise TemperError("no images: give a folder, an array or several", 2)
    scratch.mkdir()
    for number, array in enumerate(arrays):
        (scratch / f"image_{number:04}.ppm").write_bytes(_portable_pixmap(array))
    return scratch


def _portable_pixmap(array: "np.ndarray") -> bytes:
    """A binary PPM, the simplest format that the program reads."""
    import numpy as np

    array = np.asarray(array)
    if array.ndim != 3 or array.shape[2] != 3:
        raise TemperError(f"an image is height x width x 3, and one of shape {array.shape} came", 2)
    if array.dtype != np.uint8:
        array = np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
    height, width, _ = array.shape
    return b"P6 %d %d 255\n" % (width, height) + np.ascontiguousarray(array).tobytes()
