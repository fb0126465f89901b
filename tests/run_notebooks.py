"""Run chapters from the top and keep their new outputs: `make notebooks`, or `python tests/run_notebooks.py FILE…`.

They run on the toy scenes, whatever ADE20K is on the disk. What differs between machines and runs goes: times, widgets'
saved state, the kernel's exact version. A chapter that fails is left as it was.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

from vitseg_lib.files import atomic_path

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}


def run(path: Path) -> None:
    """Run one notebook in its own folder and write it back, whole or not at all."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=where).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    with atomic_path(path, overwrite=True) as part:
        nbformat.write(notebook, part)


if __name__ == "__main__":
    os.environ["VITSEG_MINE"] = "none/mine.py"  # kept outputs are those of a fresh clone
    named = [Path(name).resolve() for name in sys.argv[1:]]
    for chapter in tqdm(named or sorted([*NOTEBOOKS.glob("[0-9]*.ipynb"), *NOTEBOOKS.glob("deeper/*.ipynb")])):
        os.environ["VITSEG_DATA"] = os.path.relpath(NOTEBOOKS.parent / "data" / "toy_scenes", chapter.parent)
        run(chapter)
