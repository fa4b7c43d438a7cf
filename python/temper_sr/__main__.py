"""`python -m temper_sr` is `temper`."""

import os
import sys

from ._program import program

if __name__ == "__main__":
    os.execv(program(), [program(), *sys.argv[1:]])
