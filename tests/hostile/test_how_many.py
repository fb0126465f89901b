"""The count of the hostile set, which README.md states."""

import re

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def test_how_many_bad_inputs_there_were(met, request, capsys):
    """It runs last, and counts what was met before it: a run of a part of the set has nothing to say."""
    files = {item.path.name for item in request.session.items if "hostile" in item.path.parts}
    everything = {path.name for path in request.path.parent.glob("test_*.py")}
    narrowed = request.config.option.keyword or any("::" in str(part) for part in request.config.args)
    if files != everything or narrowed or hasattr(request.config, "workerinput"):
        pytest.skip(
            f"{len(met)} were met here; the whole set is counted where all of tests/hostile runs in one process"
        )
    with capsys.disabled():
        print(f"\nhostile set: {len(met)} bad inputs, each ended with one clear sentence, and nothing was lost")
    assert len(met) == len(set(met))
    (stated,) = re.findall(r"more than ([\d ]+?)\s+bad\s+inputs", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert int(stated.replace(" ", "")) < len(met) <= int(stated.replace(" ", "")) + 100
