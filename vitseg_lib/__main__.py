"""Run the command line: ``python -m vitseg_lib``, also under ``torchrun``."""

from vitseg_lib.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
