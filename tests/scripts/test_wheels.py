"""Holds `tools/wheels.py` to its promises, against a registry served on this machine.

    python3 -m unittest discover tests/scripts

The registry is one small wheel made here. What it does wrong (cutting the line, sending other
bytes, refusing ranges or strangers) each test says. Nothing leaves the machine.
"""

import base64
import contextlib
import hashlib
import http.server
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import pin  # noqa: E402
import pip_index  # noqa: E402
import wheels  # noqa: E402
from failure import Failure  # noqa: E402

FILE = "blob-1.0-py3-none-any.whl"
WANTED = {"blob/include/": "include/", "blob/lib.so": "lib/lib.so"}


def make_wheel(path):
    """A wheel whose wanted members lie between a large unwanted one and the table of contents."""
    noise = random.Random(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("blob/unwanted.so", noise.getrandbits(8 * 900_000).to_bytes(900_000, "big"))
        archive.writestr("blob/include/a.h", "int a;\n")
        archive.writestr("blob/include/deep/b.h", "int b;\n")
        archive.writestr("blob/lib.so", noise.getrandbits(8 * 600_000).to_bytes(600_000, "big"))
        archive.writestr("blob/also_unwanted.so", bytes(noise.choices(range(256), k=700_000)))
        archive.writestr("blob-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: blob\nVersion: 1.0\n")
        archive.writestr("blob-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("blob-1.0.dist-info/RECORD", "")


class Registry(http.server.ThreadingHTTPServer):
    """A registry with one package, and the faults a test sets."""

    def __init__(self, wheel):
        super().__init__(("127.0.0.1", 0), Answer)
        self.wheel = wheel
        self.ranges = True  # answers a range with that range
        self.cut_after = None  # bytes of body, once; the line is then dropped
        self.lie = 0  # how many answers are of other bytes
        self.login = None  # what it takes to be let in
        self.pace = 0.0  # seconds between pieces
        self.sent = 0  # bytes of the wheel
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def address(self, login=""):
        return f"http://{login}127.0.0.1:{self.server_port}/simple"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.server.login and self.headers.get("Authorization") != self.server.login:
            self.send_error(401)
        elif self.path == "/simple/blob/":
            digest = hashlib.sha256(self.server.wheel).hexdigest()
            page = f'<a href="../../files/{FILE}#sha256={digest}">{FILE}</a>'.encode()
            self.answer(200, page)
        elif self.path == f"/files/{FILE}":
            self.send_wheel()
        else:
            self.send_error(404)

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_wheel(self):
        server, wanted = self.server, self.headers.get("Range")
        wheel, status, headers = server.wheel, 200, []
        if wanted and server.ranges:
            start, stop = (int(number) for number in wanted[len("bytes=") :].split("-"))
            headers = [("Content-Range", f"bytes {start}-{stop}/{len(wheel)}")]
            wheel, status = wheel[start : stop + 1], 206
        if server.lie:
            server.lie -= 1
            wheel = bytes(len(wheel))
        self.send_response(status)
        self.send_header("Content-Length", str(len(wheel)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        cut, server.cut_after = server.cut_after, None
        for start in range(0, len(wheel), 16384):
            if cut is not None and start >= cut:
                self.close_connection = True
                return
            piece = wheel[start : start + 16384]
            server.sent += len(piece)
            with contextlib.suppress(ConnectionError):
                self.wfile.write(piece)
            if server.pace:
                time.sleep(server.pace)

    def log_message(self, *_):
        pass


class Wheels(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name) / "project"
        self.cache = Path(scratch.name) / "cache"
        self.root.mkdir()
        file = Path(scratch.name) / FILE
        make_wheel(file)
        self.wheel, unpacked = pin.pin(file, list(WANTED))
        self.part = wheels.Part(
            "native/blob", unpacked, {self.wheel: WANTED}, {"version": "1.0\n"}, {"lib/so": "lib.so"}
        )
        self.registry = Registry(file.read_bytes())
        self.addCleanup(self.registry.server_close)
        self.addCleanup(self.registry.shutdown)
        self.set_pip({"PIP_INDEX_URL": self.registry.address()})
        self.patch(mock.patch.object(wheels, "ROOT", self.root))
        self.patch(mock.patch.object(pip_index, "sleep"))
        self.stderr = open(Path(scratch.name) / "stderr", "w")
        self.addCleanup(self.stderr.close)
        self.patch(contextlib.redirect_stderr(self.stderr))

    def patch(self, patcher):
        patcher.__enter__()
        self.addCleanup(patcher.__exit__, None, None, None)

    def set_pip(self, variables):
        """Only these settings of pip, whatever this machine's are."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        clean.update(variables, PIP_CONFIG_FILE=os.devnull, TEMPER_CACHE=str(self.cache))
        self.patch(mock.patch.dict(os.environ, clean, clear=True))

    def bring(self):
        wheels.bring([self.part])

    def said(self):
        return Path(self.stderr.name).read_text()

    def assert_made(self):
        place = self.root / "native/blob"
        with zipfile.ZipFile(io.BytesIO(self.registry.wheel)) as archive:
            self.assertEqual((place / "lib/lib.so").read_bytes(), archive.read("blob/lib.so"))
        self.assertEqual((place / "include/deep/b.h").read_text(), "int b;\n")
        self.assertEqual((place / "version").read_text(), "1.0\n")
        self.assertEqual(os.readlink(place / "lib/so"), "lib.so")
        self.assertFalse((place / "unwanted.so").exists())
        self.assertEqual([p.name for p in place.parent.iterdir()], ["blob"], "scratch was left")

    def damage_cached(self):
        (file,) = self.cache.glob(f"{FILE}.*")
        content = bytearray(file.read_bytes())
        content[1000] ^= 1
        file.write_bytes(content)

    def test_fetches_only_the_needed_bytes_and_makes_the_folder(self):
        self.bring()
        self.assert_made()
        self.assertEqual(self.registry.sent, self.wheel.needed())
        self.assertLess(self.wheel.needed(), self.wheel.size / 3)

    def test_a_second_run_asks_for_nothing(self):
        self.bring()
        self.registry.shutdown()
        self.set_pip({"PIP_INDEX_URL": "http://127.0.0.1:9/simple"})
        self.bring()

    def test_a_removed_folder_comes_back_from_the_cache(self):
        self.bring()
        sent = self.registry.sent
        (self.root / "native/blob/lib/lib.so").unlink()
        self.bring()
        self.assert_made()
        self.assertEqual(self.registry.sent, sent)

    def test_a_dropped_line_is_taken_up_where_it_broke(self):
        self.registry.cut_after = 300_000
        self.bring()
        self.assert_made()
        self.assertLess(self.registry.sent, self.wheel.needed() + 50_000)
        self.assertIn("trying again", self.said())

    def test_a_killed_run_is_taken_up_where_it_stopped(self):
        self.registry.pace = 0.02
        code = (
            f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import wheels, pin\n"
            f"wheels.ROOT = wheels.Path({str(self.root)!r})\n"
            f"wheel = wheels.Wheel(*{tuple(self.wheel)!r})\n"
            f"wheels.bring([wheels.Part('native/blob', 1, {{wheel: {WANTED!r}}})])"
        )
        child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        part = wheels.partial(self.wheel, self.cache)
        while child.poll() is None and wheels.size_of(part) < 200_000:
            threading.Event().wait(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.assertFalse((self.root / "native").exists())
        had = wheels.size_of(part)
        self.assertTrue(200_000 <= had < self.wheel.needed())
        self.registry.pace = 0
        threading.Event().wait(0.1)  # the cut-off answer ends
        self.registry.sent = 0
        self.bring()
        self.assert_made()
        self.assertEqual(self.registry.sent, self.wheel.needed() - had)

    def test_a_damaged_start_is_deleted_and_fetched_anew(self):
        self.cache.mkdir()
        wheels.partial(self.wheel, self.cache).write_bytes(bytes(100_000))
        self.bring()
        self.assert_made()
        self.assertIn("damaged; deleted, starting over", self.said())

    def test_a_damaged_cache_is_deleted_and_fetched_anew(self):
        self.bring()
        self.damage_cached()
        (self.root / "native/blob/version").unlink()
        self.bring()
        self.assert_made()
        self.assertIn("is damaged; deleted", self.said())

    def test_other_bytes_are_refused_and_deleted(self):
        self.registry.lie = 9
        with self.assertRaisesRegex(Failure, "blob 1.0: .*pinned SHA-256; it was deleted"):
            self.bring()
        self.assertEqual([file.name for file in self.cache.iterdir()], ["lock"])
        self.assertFalse((self.root / "native").exists())

    def test_a_server_without_ranges_will_do(self):
        self.registry.ranges = False
        self.bring()
        self.assert_made()

    def test_a_file_of_another_size_is_left_to_pip_and_refused(self):
        self.registry.wheel += b"more"
        with self.assertRaisesRegex(Failure, "neither directly nor by pip"):
            self.bring()
        self.assertFalse((self.root / "native").exists())

    def test_a_login_in_pips_index_address_is_used(self):
        self.registry.login = "Basic " + base64.b64encode(b"me:s3/cret").decode()
        self.set_pip({"PIP_INDEX_URL": self.registry.address("me:s3%2Fcret@")})
        self.bring()
        self.assert_made()
        self.assertEqual(self.registry.sent, self.wheel.needed())

    def test_a_wheel_in_a_folder_of_find_links_needs_no_network(self):
        folder = self.root / "house"
        folder.mkdir()
        (folder / FILE).write_bytes(self.registry.wheel)
        self.set_pip({"PIP_FIND_LINKS": str(folder), "PIP_NO_INDEX": "1"})
        self.bring()
        self.assert_made()
        self.assertEqual(self.registry.sent, 0)

    def test_what_we_cannot_read_is_left_to_pip(self):
        with mock.patch.object(
            pip_index.Source, "url_of", side_effect=pip_index.Unreachable("a keyring is needed")
        ):
            self.bring()
        self.assert_made()
        self.assertEqual(self.registry.sent, self.wheel.size)

    def test_no_network_is_one_message(self):
        self.set_pip({"PIP_INDEX_URL": "http://127.0.0.1:9/simple"})
        with self.assertRaisesRegex(Failure, "no network: .*refused"):
            self.bring()
        self.assertEqual(self.said(), "")
        self.assertFalse((self.root / "native").exists())

    def test_a_network_that_dies_half_way_keeps_what_came(self):
        self.registry.cut_after = 200_000
        answers = pip_index.Source.range
        with mock.patch.object(pip_index.Source, "range", autospec=True) as first_then_dead:
            calls = iter([answers] + [self.dead] * 9)
            first_then_dead.side_effect = lambda *arguments: next(calls)(*arguments)
            with self.assertRaisesRegex(Failure, "what was fetched is kept"):
                self.bring()
        had = wheels.size_of(wheels.partial(self.wheel, self.cache))
        self.assertGreater(had, 100_000)
        self.bring()
        self.assert_made()

    @staticmethod
    def dead(*_):
        raise ConnectionResetError("reset")

    def test_other_pins_replace_the_folder(self):
        self.bring()
        self.part = self.part._replace(write={"version": "1.0\n", "new": "yes"})
        self.bring()
        self.assert_made()
        self.assertEqual((self.root / "native/blob/new").read_text(), "yes")

    def test_a_folder_made_by_somebody_else_is_not_replaced(self):
        theirs = self.root / "native/blob/mine.txt"
        theirs.parent.mkdir(parents=True)
        theirs.write_text("precious")
        with self.assertRaisesRegex(Failure, "native/blob is in the way"):
            self.bring()
        self.assertEqual(theirs.read_text(), "precious")

    def test_a_full_disk_is_said_before_the_fetch(self):
        usage = mock.Mock(free=1000)
        with mock.patch.object(wheels.shutil, "disk_usage", return_value=usage):
            with self.assertRaisesRegex(Failure, "no space: "):
                self.bring()
        self.assertEqual(self.registry.sent, 0)

    def test_two_runs_at_once_fetch_once(self):
        self.registry.pace = 0.002
        runs = [threading.Thread(target=self.bring) for _ in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        self.assert_made()
        self.assertEqual(self.registry.sent, self.wheel.needed())

    def test_a_python_without_pip_is_told_how_to_get_it(self):
        failed = subprocess.CompletedProcess([], 1, "", "")
        with mock.patch.object(pip_index, "pip", return_value=failed):
            with self.assertRaisesRegex(Failure, "apt install python3-pip"):
                self.bring()


class Pip(unittest.TestCase):
    def test_the_environment_wins_over_the_commands_section_and_that_over_the_global_one(self):
        listing = (
            ":env:.index-url='http://e/'\n"
            "download.cert='/d.pem'\n"
            "download.index-url='http://d/'\n"
            "global.cert='/g.pem'\n"
            "global.index-url='http://g/'\n"
            "global.extra-index-url='http://x/\\nhttp://y/'\n"
            "install.index-url='http://i/'\n"
        )
        self.assertEqual(
            pip_index.settings(listing),
            {"index-url": "http://e/", "cert": "/d.pem", "extra-index-url": "http://x/\nhttp://y/"},
        )

    def test_pip_says_which_index_it_uses_by_default(self):
        with mock.patch.dict(os.environ, {"PIP_CONFIG_FILE": os.devnull}):
            os.environ.pop("PIP_INDEX_URL", None)
            pip_index.default_index.cache_clear()
            self.assertRegex(pip_index.default_index(), r"^https://\S+/simple/?$")


if __name__ == "__main__":
    unittest.main()
