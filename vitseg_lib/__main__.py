"""Run the command line: ``python -m vitseg_lib``, also under ``torchrun``."""

import os

from vitseg_lib.cli import main

if __name__ == "__main__":
    code = main()
    if "RANK" in os.environ:
        from vitseg_lib.engine.distributed import leave  # not before: `--help` does without torch

        leave(code)
    raise SystemExit(code)
