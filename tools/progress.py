"""A progress line for a download: how much of how much, rate, time left.

On a terminal the line is redrawn in place; in a log it is one line every ten seconds.
"""

from __future__ import annotations

import sys
import time
from collections import deque

REDRAW = 0.1  # seconds
LOG_EVERY = 10.0
WINDOW = 5.0  # the rate is that of the last seconds, so that a stall shows
BAR = 24


def mb(count: float) -> str:
    """Bytes in MB (10^6), as download sizes are written."""
    return f"{count / 1e6:.0f}" if count >= 1e7 else f"{count / 1e6:.1f}"


class Progress:
    def __init__(self, label: str, total: int, have: int):
        self.label, self.total, self.have, self.resumed = label, total, have, have
        self.is_terminal = sys.stderr.isatty()
        self.began = self.shown = time.monotonic()
        self.marks = deque([(self.began, have)])

    def __enter__(self) -> Progress:
        if not self.is_terminal:
            goes_on = f", {mb(self.have)} MB are here already" if self.have else ""
            self.print(f"{self.label}: fetching {mb(self.total)} MB{goes_on}")
        return self

    def add(self, count: int) -> None:
        self.have += count
        now = time.monotonic()
        if now - self.shown < (REDRAW if self.is_terminal else LOG_EVERY):
            return
        self.shown = now
        self.marks.append((now, self.have))
        while len(self.marks) > 2 and now - self.marks[0][0] > WINDOW:
            self.marks.popleft()
        then, had = self.marks[0]
        self.draw((self.have - had) / max(now - then, 1e-6))

    def draw(self, rate: float) -> None:
        left = f"{clock((self.total - self.have) / rate)} left" if rate > 0 else "stalled"
        text = f"{mb(self.have)} of {mb(self.total)} MB  {mb(rate)} MB/s  {left}"
        if not self.is_terminal:
            self.print(f"{self.label}: {text}")
            return
        full = min(BAR, BAR * self.have // max(self.total, 1))
        bar = "#" * full + "." * (BAR - full)
        self.print(f"\r{self.label:<28} [{bar}] {text}\033[K", end="")

    def note(self, message: str) -> None:
        """Says something in between, on a line of its own."""
        self.print(("\r\033[K" if self.is_terminal else "") + f"{self.label}: {message}")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.print("" if self.is_terminal else f"{self.label}: stopped at {mb(self.have)} MB")
            return
        seconds = max(time.monotonic() - self.began, 1e-6)
        fetched = self.have - self.resumed
        start = "\r" if self.is_terminal else ""
        end = "\033[K" if self.is_terminal else ""
        text = f"{mb(fetched)} MB fetched in {seconds:.1f} s, {mb(fetched / seconds)} MB/s"
        self.print(f"{start}{self.label}: {text}{end}")

    @staticmethod
    def print(text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
