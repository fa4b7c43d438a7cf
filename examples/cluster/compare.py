#!/usr/bin/env python3
"""Fails unless two reports are the same to the last bit but for the time they took.

    compare.py one/report.json merged/report.json
"""

import json
import pathlib
import sys


def but_for_time(path):
    report = json.loads(pathlib.Path(path).read_text(), parse_float=str)
    del report["timing"]
    return report


def main():
    first, second = (but_for_time(path) for path in sys.argv[1:3])
    if first != second:
        sys.exit("differ: " + ", ".join(key for key in first if first.get(key) != second.get(key)))
    print(f"the same: {len(first['rows'])} rows of {len(first['images'])} images")


if __name__ == "__main__":
    main()
