"""Brings libtorch and ONNX Runtime into `native/`: what `make setup` runs.

    native/libtorch      libtorch 2.11.0 for the CPU: headers, libraries, licences; what a build with
                         the feature `torch` compiles and links against
    native/onnxruntime   libonnxruntime.so 1.30.0, found at run time

Both come out of wheels on the Python package index, pinned by version and SHA-256; `wheels.py`
says how, and what happens when something goes wrong. The wheels are those for CPython 3.11 whatever
Python runs this: only C and C++ files are taken from them.

Set `LIBTORCH` or `ORT_DYLIB_PATH` to use a library of your own, for a GPU say; it is then not
fetched. Python 3.8 or newer and pip; nothing else is needed.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import List, Optional

import wheels
from failure import Failure, run
from wheels import Part, Wheel

TORCH = Wheel(
    name="torch",
    version="2.11.0",
    file="torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    size=530604548,
    sha256="7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    spans=((23716371, 155095496), (529389122, 530604548)),
    spans_sha256="5c896333aafeb19132e50a317ab835008de332813f0c5dc10f67e69a01c8e57f",
)
# libtorch_cpu.so links these two, on a machine without a GPU too.
CUDA_RUNTIME = Wheel(
    name="nvidia-cuda-runtime",
    version="13.0.96",
    file="nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    size=2243632,
    sha256="7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    spans=((1660864, 1864632), (2215187, 2243632)),
    spans_sha256="466a42fc6f5f87ca394022ca6c259ee18d55e76b8916ad130378dd8ef48b551e",
)
CUDA_PROFILING = Wheel(
    name="nvidia-cuda-cupti",
    version="13.0.85",
    file="nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    size=10715597,
    sha256="4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    spans=((686589, 2171686), (10694021, 10715597)),
    spans_sha256="66b6b8a409fc2aafd67ebe0540dcd004ec1bf723c114d72cbac35689b0d313ea",
)
ONNX_RUNTIME = Wheel(
    name="onnxruntime",
    version="1.30.0",
    file="onnxruntime-1.30.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    size=23561046,
    sha256="fd54b314ea385bcecac69ab431f020ba503e3878dad4ebb645fec5a24b041242",
    spans=((42, 11111624), (23526900, 23561046)),
    spans_sha256="a5d59738bb044407859109e408e8a98649646c4b7dc41f5d6bd2b8b0f5ec757a",
)

LIBTORCH = Part(
    folder="native/libtorch",
    unpacked=497_066_472,
    take={
        TORCH: {
            "torch/include/": "include/",
            "torch/lib/libtorch_cpu.so": "lib/libtorch_cpu.so",
            "torch/lib/libc10.so": "lib/libc10.so",
            "torch/lib/libgomp.so.1": "lib/libgomp.so.1",
            "torch-2.11.0.dist-info/licenses/LICENSE": "licenses/torch.txt",
            "torch-2.11.0.dist-info/licenses/NOTICE": "licenses/torch-notice.txt",
        },
        CUDA_RUNTIME: {
            "nvidia/cu13/lib/libcudart.so.13": "lib/libcudart.so.13",
            "nvidia_cuda_runtime-13.0.96.dist-info/licenses/License.txt": "licenses/cudart.txt",
        },
        CUDA_PROFILING: {
            "nvidia/cu13/lib/libcupti.so.13": "lib/libcupti.so.13",
            "nvidia_cuda_cupti-13.0.85.dist-info/licenses/License.txt": "licenses/cupti.txt",
        },
    },
    write={
        # `-ltorch` without CUDA: the libtorch.so of the wheel would pull in libtorch_cuda.so.
        "lib/libtorch.so": "INPUT(libtorch_cpu.so)\n",
        "build-version": "2.11.0\n",
    },
)
ONNXRUNTIME = Part(
    folder="native/onnxruntime",
    unpacked=29_324_313,
    take={
        ONNX_RUNTIME: {
            "onnxruntime/capi/libonnxruntime.so.1.30.0": "lib/libonnxruntime.so.1.30.0",
            "onnxruntime/LICENSE": "licenses/onnxruntime.txt",
            "onnxruntime/ThirdPartyNotices.txt": "licenses/onnxruntime-third-party.txt",
        }
    },
    link={"lib/libonnxruntime.so": "libonnxruntime.so.1.30.0"},
)


def main() -> None:
    parts = [
        part
        for part, variable, file in (
            (LIBTORCH, "LIBTORCH", "lib/libtorch.so"),
            (ONNXRUNTIME, "ORT_DYLIB_PATH", ""),
        )
        if not user_has_own(part, variable, file)
    ]
    if all(part.is_made() for part in parts):
        return
    refuse_other_platforms()
    wheels.bring(parts)


def user_has_own(part: Part, variable: str, file: str) -> bool:
    """Whether an environment variable names a library that is not ours to bring."""
    value = os.environ.get(variable)
    if not value or part.path() in (Path(value).resolve(), *Path(value).resolve().parents):
        return False
    if not (Path(value) / file).exists():
        raise Failure(f"{variable} is {value}, where there is no library; correct it or unset it")
    print(f"{variable} is set: using {value}", file=sys.stderr)
    return True


def refuse_other_platforms() -> None:
    system, machine, libc = platform.system(), platform.machine(), glibc()
    supported = system == "Linux" and machine == "x86_64" and libc and libc >= [2, 28]
    if not supported:
        version = "glibc " + ".".join(map(str, libc)) if libc else "no glibc"
        raise Failure(
            "libtorch and ONNX Runtime are brought for Linux x86_64 with glibc 2.28 or newer, and "
            f"this is {system} {machine} with {version}. Without them `cargo build "
            "--no-default-features` gives a temper that audits on tract; with a libtorch of your "
            "own, set LIBTORCH to its folder"
        )


def glibc() -> Optional[List[int]]:
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        return [int(number) for number in version.split(".")[:2]]
    except (AttributeError, ValueError, OSError):
        return None


if __name__ == "__main__":
    run(main)
