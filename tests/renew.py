"""Renew what is made from something else: environment.yml from the pins, README's tables from recipes and results.

`make pins` runs it; `tests/test_generated.py` fails when it was forgotten.
"""

import inspect
import json
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from vitseg_lib import recipes
from vitseg_lib.course import solution
from vitseg_lib.course.figures import ch11_results, panels
from vitseg_lib.course.figures.picture import Picture
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.engine import inference
from vitseg_lib.model import weights

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))
import ablation  # noqa: E402
import ceiling  # noqa: E402
import gpu  # noqa: E402
import run as bench  # noqa: E402

CONDA_PYTHON = {"python_version": "3.12", "python_full_version": "3.12.0"}
PICTURED = (35, 4, 7)


def pins() -> dict[str, str]:
    """Exact version by package, as the conda environment's Python gets them."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    kept = [r for r in found if r.marker is None or r.marker.evaluate(CONDA_PYTHON | {"sys_platform": "linux"})]
    return {r.name.lower(): str(r.specifier) for r in kept}


def environment() -> str:
    """environment.yml: every direct dependency of pyproject.toml at its pin."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = sorted(Requirement(r).name for group in groups for r in group)
    packages = "".join(f"      - {name}{pins()[name]}\n" for name in names)
    return (
        "# The same set as requirements.txt, for conda: conda env create -f environment.yml\n"
        "# Made by `make pins`.\n"
        "name: vitseg\nchannels:\n  - conda-forge\n"
        f"dependencies:\n  - python={CONDA_PYTHON['python_version']}\n  - pip\n"
        f"  - pip:\n{packages}      - -e .\n"
    )


def table() -> str:
    """README's table of recipes, as chapter 11 shows it; a row that was not run says so."""
    folders = (ROOT / "data" / "weights", ROOT / "benchmarks" / "results" / "reproduced")
    files = (path for folder in folders for path in sorted(folder.glob("*.json")))
    return ch11_results.table(json.loads(path.read_text(encoding="utf-8")) for path in files)


def readme() -> str:
    """README.md with its tables renewed."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = between(text, "recipes", table())
    content = json.loads((ROOT / "benchmarks" / "results" / "ablation.json").read_text(encoding="utf-8"))
    text = between(text, "ablation", ablation.table(content))
    parts = "\n\n".join(inspect.getsource(part) for part in (solution.SelfAttention, solution.Block))
    text = between(text, "solution", f"```python\n{parts}```")
    return between(text, "speed", bench.table(json.loads(bench.newest().read_text(encoding="utf-8"))))


def profile() -> str:
    """benchmarks/README.md with its tables renewed."""
    content = json.loads((bench.RESULTS / "ceiling.json").read_text(encoding="utf-8"))
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    text = between(text, "profile", ceiling.table(content))
    newest = sorted(bench.RESULTS.glob("gpu-*.json"))[-1]
    return between(text, "gpu", gpu.table(json.loads(newest.read_text(encoding="utf-8"))))


def between(text: str, name: str, content: str) -> str:
    """The text with new content between its two marks of that name."""
    begin, end = f"<!-- {name}: made by tests/renew.py -->", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def preview() -> Picture:
    """README's picture: three validation scenes as the committed weights see them."""
    scenes = SegmentationFolder(ROOT / "data" / "toy_scenes", "validation")
    recipe = recipes.get("toy")
    model = recipes.build_model(recipe, len(scenes.classes)).eval()
    weights.load(model, ROOT / "data" / "weights" / "toy.safetensors")
    images, truths = zip(*(scenes[number] for number in PICTURED), strict=True)
    predictions = [inference.predict(model, image, recipe) for image in images]
    return panels.segmentation_panel(images, truths, predictions, classes=scenes.classes)


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
    (ROOT / "README.md").write_text(readme(), encoding="utf-8")
    (ROOT / "benchmarks" / "README.md").write_text(profile(), encoding="utf-8")
    preview().save(ROOT / "data" / "weights" / "toy.png", overwrite=True)
