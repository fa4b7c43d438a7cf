"""Attacks on super-resolution ONNX files from Python, by the program `temper`.

    import temper_sr
    report = temper_sr.audit("model.onnx", "photos/")       # the dictionary of report.json
    step = temper_sr.gradient("model.onnx", (48, 48))       # distance and its gradient, on numpy arrays
    value, slope = step(image, target)

Nothing is computed here: `audit` runs `temper audit`, `gradient` runs `temper grad` and gives the file that it writes
to ONNX Runtime. Both raise `TemperError` with the program's own message.
"""

from ._program import TemperError, audit, gradient, program

__all__ = ["TemperError", "audit", "gradient", "program"]
