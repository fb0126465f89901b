"""Run the command line: ``python -m vitseg_lib``, also under ``torchrun``."""

import os

from vitseg_lib.cli import main

if __name__ == "__main__":
    code = main()
    if "RANK" in os.environ:  # not before: `--help` does without torch
        from vitseg_lib.engine.distributed import leave

        leave(code)
    raise SystemExit(code)
