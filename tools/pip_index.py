"""Where this machine's pip would get a file, and reading byte ranges of it from there.

The registry is whatever the user's pip says: `pip config list` gives the index, extra indexes,
local folders, proxy and certificates; where no index is set, pip's own help text names its
default. The index is then read as the simple repository API (PEP 503), which every index and
mirror speaks.

Why not leave the fetch to pip: `pip download` starts a file over when it was cut off and takes
whole wheels, and `pip install --dry-run --report`, which would give the address, fetches the
whole wheel first (measured on pip 23). Where we cannot read the index as pip would (a keyring,
a client certificate), `Unreachable` says so, and the caller falls back to `pip download`.
"""

from __future__ import annotations

import ast
import base64
import errno
import html.parser
import http.client
import os
import re
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from functools import lru_cache
from pathlib import Path
from time import sleep
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from failure import Failure

TIMEOUT = 30  # seconds without a byte
TRIES = 5  # in a row, without a byte between them
CHUNK = 1 << 18
NO_PIP = (
    "python3 has no pip; install it (Debian and Ubuntu: apt install python3-pip), "
    "or name a Python that has it: make PYTHON=/path/to/python3"
)


class Unreachable(Exception):
    """The registry cannot be read by us; pip may still know a way."""


class Source:
    """The registry that this machine's pip is set up to use."""

    def __init__(self) -> None:
        listing = pip("config", "list")
        if listing.returncode != 0:
            raise Failure(NO_PIP)
        self.settings = settings(listing.stdout)
        self.logins: Dict[str, str] = {}
        handlers: List[urllib.request.BaseHandler] = [
            urllib.request.HTTPSHandler(context=self.certificates())
        ]
        if "proxy" in self.settings:
            proxy = self.settings["proxy"]
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self.opener = urllib.request.build_opener(*handlers)

    def certificates(self) -> ssl.SSLContext:
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        fallback = next((os.environ[name] for name in names if os.environ.get(name)), None)
        path = self.settings.get("cert", fallback)
        try:
            if path and os.path.isdir(path):
                return ssl.create_default_context(capath=path)
            return ssl.create_default_context(cafile=path)
        except OSError as error:
            raise Failure(f"cannot read pip's certificates {path}: {error}") from error

    # Finding a file

    def local_files(self, file: str) -> List[Path]:
        """Copies of the file in the folders of pip's `find-links`."""
        places = self.settings.get("find-links", "").split()
        paths = [Path(urllib.parse.urlsplit(p).path if "://" in p else p) for p in places]
        return [path / file for path in paths]

    def indexes(self) -> List[str]:
        if self.settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
            raise Unreachable("pip is set to use no index")
        first = self.settings.get("index-url") or default_index()
        return [first, *self.settings.get("extra-index-url", "").split()]

    def url_of(self, name: str, file: str) -> str:
        """The address of one file of a package; raises `Unreachable`."""
        reasons, is_offline = [], True
        for index in self.indexes():
            page = f"{index.rstrip('/')}/{name}/"
            try:
                with self.open(page) as answer:
                    links = Links(answer.geturl(), answer.read().decode("utf-8", "replace"))
            except (OSError, http.client.HTTPException, ValueError) as error:
                is_offline = is_offline and is_no_network(error)
                reasons.append(f"the index could not be read ({why(error)})")
                continue
            is_offline = False
            if file in links.files:
                return links.files[file]
            reasons.append(f"the index does not list {file}")
        if is_offline and not urllib.request.getproxies() and "proxy" not in self.settings:
            raise Failure(
                f"no network: {'; '.join(dict.fromkeys(reasons))}; what was fetched before is "
                "kept. Check the connection, and pip's proxy and index-url (pip config list)"
            )
        raise Unreachable("; ".join(dict.fromkeys(reasons)))

    # Reading it

    def open(self, url: str, headers: Optional[Dict[str, str]] = None):
        """Opens an address. A name and password in an index's address serve its host from then
        on; they are not sent along when the host sends us elsewhere."""
        parts = urllib.parse.urlsplit(url)
        if parts.username:
            host = parts.netloc.rpartition("@")[2]
            pair = f"{parts.username}:{parts.password or ''}"
            pair = urllib.parse.unquote(pair)
            self.logins[host] = "Basic " + base64.b64encode(pair.encode()).decode()
            parts = parts._replace(netloc=host)
        request = urllib.request.Request(parts.geturl(), headers=headers or {})
        if parts.netloc in self.logins:
            request.add_unredirected_header("Authorization", self.logins[parts.netloc])
        return self.opener.open(request, timeout=TIMEOUT)

    def read(
        self, url: str, begin: int, end: int, size: int, note: Callable[[str], None]
    ) -> Iterator[bytes]:
        """Bytes begin..end of a file of `size` bytes. Goes on by itself when the line drops."""
        failures = 0
        while begin < end:
            try:
                for chunk in self.range(url, begin, end, size):
                    begin, failures = begin + len(chunk), 0
                    yield chunk
                if begin < end:
                    raise ConnectionError("the connection was closed early")
            except (OSError, http.client.HTTPException) as error:
                failures += 1
                if is_refusal(error):
                    raise Unreachable(f"the file could not be read ({why(error)})") from error
                if failures >= TRIES:
                    raise Failure(
                        f"the network failed {TRIES} times in a row ({why(error)}); what was "
                        "fetched is kept: run the same command again and it goes on from there"
                    ) from error
                wait = 2 ** (failures - 1)
                note(f"{why(error)}; trying again in {wait} s")
                sleep(wait)

    def range(self, url: str, begin: int, end: int, size: int) -> Iterator[bytes]:
        with self.open(url, {"Range": f"bytes={begin}-{end - 1}"}) as answer:
            skip = check_answer(answer, begin, size)
            left = end - begin
            while skip and answer.read(min(CHUNK, skip)):
                skip -= min(CHUNK, skip)
            while left:
                chunk = answer.read(min(CHUNK, left))
                if not chunk:
                    return
                left -= len(chunk)
                yield chunk

    # The other way

    def pip_download(self, file: str, pins: str, into: Path, label: str) -> None:
        """Has pip fetch a wheel into a folder, held to the hashes in `pins`."""
        requirements = into / f"{file}.pins.txt"
        requirements.write_text(pins)
        platforms = [
            word
            for platform in file[: -len(".whl")].rpartition("-")[2].split(".")
            for word in ("--platform", platform)
        ]
        code = subprocess.call(
            [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
            + ["--python-version", "3.11", "--implementation", "cp", *platforms]
            + ["--require-hashes", "--requirement", str(requirements), "--dest", str(into)],
            stdout=sys.stderr,
            stderr=sys.stderr,
        )
        requirements.unlink()
        if code != 0:
            raise Failure(
                f"{label} could not be fetched, neither directly nor by pip, whose message is "
                "above; check the network, and pip's proxy and index-url (pip config list)"
            )


def pip(*arguments: str) -> subprocess.CompletedProcess:
    # A wide terminal, so that pip does not break an address over two lines of its help.
    environment = dict(os.environ, COLUMNS="2000")
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def settings(listing: str) -> Dict[str, str]:
    """What `pip config list` says for `pip download`: the environment wins over the command's
    own section, and that over the global one."""
    found: Dict[str, Tuple[int, str]] = {}
    order = {"global": 0, "download": 1, ":env:": 2}
    for line in listing.splitlines():
        match = re.match(r"(:env:|\w+)\.([\w-]+)=(.+)$", line)
        if match and match[1] in order:
            rank, value = order[match[1]], str(ast.literal_eval(match[3]))
            if rank >= found.get(match[2], (0, ""))[0]:
                found[match[2]] = (rank, value)
    return {name: value for name, (_, value) in found.items()}


@lru_cache()
def default_index() -> str:
    match = re.search(r"--index-url.*?\(default (\S+)\)", pip("download", "--help").stdout, re.S)
    if not match:
        raise Unreachable("pip does not say which index it uses")
    return match[1]


class Links(html.parser.HTMLParser):
    """The files that a page of the simple repository API links to, by name."""

    def __init__(self, base: str, page: str):
        super().__init__()
        self.base, self.files = base, {}
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        address = dict(attributes).get("href") if tag == "a" else None
        if tag == "base" and dict(attributes).get("href"):
            self.base = urllib.parse.urljoin(self.base, dict(attributes)["href"])
        if address:
            url = urllib.parse.urldefrag(urllib.parse.urljoin(self.base, address)).url
            path = urllib.parse.urlsplit(url).path
            self.files[urllib.parse.unquote(path.rpartition("/")[2])] = url


def check_answer(answer, begin: int, size: int) -> int:
    """How many bytes come before the first one asked for: none, unless the server does not do
    ranges. A file of another size is not the pinned one."""
    if answer.status == 206:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if match and int(match[1]) == begin and match[2] in ("*", str(size)):
            return 0
    elif answer.headers.get("Content-Length") in (None, str(size)):
        return begin
    raise Unreachable("the server's file is not the pinned one")


def is_refusal(error: Exception) -> bool:
    """An answer that trying again will not change."""
    code = getattr(error, "code", None)
    return isinstance(code, int) and code < 500 and code not in (408, 429)


def is_no_network(error: Exception) -> bool:
    """Whether nobody answered at all, so that pip would get no further."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, (socket.gaierror, socket.timeout, ConnectionRefusedError)) or (
        isinstance(reason, OSError) and reason.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    )


def why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    reason = getattr(error, "reason", None) or error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
