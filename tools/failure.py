"""A failure with one message for a person, and how a tool ends with it."""

from __future__ import annotations

import errno
import sys
from typing import Callable


class Failure(Exception):
    """What went wrong, where, and what to do; nothing half-made is left."""


def run(main: Callable[[], None]) -> None:
    """Runs a tool's main; a failure is one line on stderr and exit status 1."""
    try:
        main()
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        print("\nstopped; run the same command again and it goes on from here", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(f"error: {error.strerror}{where}; make room or allow writing, then run it again")
