"""`vitseg data`."""

from argparse import Namespace
from pathlib import Path

from vitseg_lib.files import InputError


def make_data(options: Namespace) -> None:
    """Draw the toy scenes, fetch ADE20K, or check a data set."""
    from vitseg_lib.data import fetch, toy_scenes

    if options.root and options.what != "check":
        raise InputError(f"`vitseg data {options.what}` takes no folder {options.root}: say --out {options.root}.")
    default = {"toy": Path("data/toy_scenes"), "ade20k": Path("data/ADEChallengeData2016"), "check": options.root}
    root = options.out or default[options.what]
    if root is None:
        raise InputError("Nothing to check was named: say `vitseg data check ROOT`.")
    if options.what == "toy" and not options.check:
        toy_scenes.write(root)
    elif options.what == "ade20k" and not options.check:
        root = fetch.fetch_ade20k(root)
    print(fetch.check(root, deep=options.deep or options.what == "toy"))
