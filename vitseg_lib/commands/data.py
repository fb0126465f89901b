"""`vitseg data`, which needs no PyTorch."""

from argparse import Namespace
from pathlib import Path

from vitseg_lib.data.check import check
from vitseg_lib.data.fetch import fetch_ade20k
from vitseg_lib.files import InputError
from vitseg_lib.toy import scenes


def make_data(options: Namespace) -> None:
    """Draw the toy scenes, fetch ADE20K, or check a data set."""
    if options.root and options.what != "check":
        raise InputError(f"`vitseg data {options.what}` takes no folder {options.root}: write --out {options.root}.")
    default = {"toy": Path("data/toy_scenes"), "ade20k": Path("data/ADEChallengeData2016"), "check": options.root}
    root = options.out or default[options.what]
    if root is None:
        raise InputError("Nothing to check was named: write `vitseg data check ROOT`.")
    if options.what == "toy" and not options.check:
        scenes.write(root)
    elif options.what == "ade20k" and not options.check:
        root = fetch_ade20k(root)
    print(check(root, deep=options.deep or options.what == "toy"))
