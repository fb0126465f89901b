"""The training watch: loss, learning rate, mIoU and predictions of a run, while it goes on or afterwards.

TrainingWatch("../runs/toy")                              replays the log of a run
TrainingWatch.train(recipe, root, out, picture=image)     trains in the background, and can stop and go on
"""

import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from vitseg_lib.engine import training
from vitseg_lib.files import InputError
from vitseg_lib.recipes import Recipe
from vitseg_lib.show.widgets.base import CourseWidget, check_image
from vitseg_lib.show.widgets.run_reading import POINT, POINT_BYTES, LogTail, Snapshots, png, recipe_of, words_of

FOLD = 1024  # steps: so many are sent again with every new one, and older ones only once in so many
PAUSE_SECONDS = 1.0  # between two looks at the log
HURRY_SECONDS = 0.25  # between two pictures of a run of our own
SNAPSHOTS = 28  # predictions of a run, unless told otherwise


class TrainingWatch(CourseWidget, source=("watch_chart", "training_watch")):
    """Draws a run folder's log.jsonl, replays it, and shows the prediction of the step in hand.

    With `live`, what is new is read every second. Predictions are PNG files in the folder's `predictions/`, named
    by their step, and those given to `add_prediction`. The browser sets `step`, where the reader stopped to look (0:
    the newest), and `wish`, "stop" or "resume", when a button is pressed.
    Raises `InputError` if there is no such folder, or if its log is damaged.
    """

    history = traitlets.Bytes().tag(sync=True)  # float32 (n, 3): step, loss, learning rate
    recent = traitlets.Bytes().tag(sync=True)  # the points after those
    scores = traitlets.List().tag(sync=True)  # [step, mIoU in percent] of each evaluation
    pictures = traitlets.Bytes().tag(sync=True)  # PNG files, one after the other
    places = traitlets.List().tag(sync=True)  # [step, first byte, byte after the last] of each
    name = traitlets.Unicode().tag(sync=True)
    total = traitlets.Int().tag(sync=True)  # steps of the whole run, 0 if nobody knows
    status = traitlets.Unicode().tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    controls = traitlets.Bool(False).tag(sync=True)  # whether there is something to stop and resume
    wish = traitlets.Enum(("", "stop", "resume"), "").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    live = traitlets.Bool(False)

    def __init__(self, run_folder: str | Path, *, live: bool = False):
        folder = Path(run_folder)
        if not folder.is_dir():
            raise InputError(
                f"There is no run folder {folder}: start a run with `vitseg train toy --data data/toy_scenes --out "
                f"{folder}`, or name another folder."
            )
        self._begin(folder, *recipe_of(folder))
        self.live = live

    def _begin(self, folder: Path, name: str, total: int) -> None:
        """Set up what a watch has whether the run is there already or not."""
        self._folder, self._tail, self._lock = folder, LogTail(folder / "log.jsonl"), threading.RLock()
        self._images: dict[int, bytes] = {}
        self._job: Callable[..., Any] | None = None
        self._thread: threading.Thread | None = None
        self._after: list[Callable[[dict[str, Any]], None]] = []
        self._asked, self._looked = threading.Event(), 0.0
        self.result: dict[str, Any] | None = None
        self.fault = ""
        super().__init__(name=name, total=total, label=f"Training watch of {name}")
        self.observe(self._answer_wish, names="wish")
        self.observe(self._follow, names="live")
        self.refresh()

    @classmethod
    def train(
        cls,
        recipe: Recipe,
        root: str | Path,
        out: str | Path,
        *,
        picture: np.ndarray | None = None,
        picture_every: int | None = None,
        resume: bool = False,
        **options: Any,
    ) -> "TrainingWatch":
        """Start `training.train` in the background and watch it; `stop`, `resume` and `wait` are then at hand.

        `picture`, uint8 (H, W, 3), is labelled every `picture_every` steps on the way, which changes nothing in the
        run. `options` are those of `training.train`. Draw no random numbers with torch meanwhile: a run shares them.
        """
        watch = cls.__new__(cls)
        watch._begin(Path(out), recipe.name, recipe.iterations)
        watch.controls = True
        after = [options.pop("on_step")] if options.get("on_step") else []
        if picture is not None:
            every = picture_every or max(1, recipe.iterations // SNAPSHOTS)
            seen = Snapshots(recipe, root, check_image(picture, "picture"), every, options.pop("build", None))
            options["build"] = seen.build
            after.append(partial(seen.take, Path(out) / "predictions"))
        watch._job = partial(training.train, recipe, root, out, **{"progress": False} | options)
        watch._after = after
        watch._start(resume)
        return watch

    def refresh(self) -> int:
        """Read what is new in the log and send it; returns how many steps were new."""
        with self._lock:
            again, lines = self._tail.read()
            if again or lines:
                history, recent, scores = (b"", b"", []) if again else (self.history, self.recent, self.scores)
                recent += np.array([[line[key] for key in POINT] for line in lines], np.float32).tobytes()
                if again or len(recent) > FOLD * POINT_BYTES:
                    history, recent = history + recent, b""
                with self.hold_sync():
                    self.history, self.recent = history, recent
                    self.scores = scores + [[line["step"], line["mIoU"]] for line in lines if "mIoU" in line]
            for path in sorted((self._folder / "predictions").glob("*.png")):
                if path.stem.isdigit() and int(path.stem) not in self._images:
                    self._images[int(path.stem)] = path.read_bytes()
            self._send_pictures()
            self.status = self._describe()
            self.alt = words_of(self.name, self.history + self.recent, self.scores)
            return len(lines)

    def add_prediction(self, step: int, image: np.ndarray) -> None:
        """Show `image`, uint8 (H, W, 3), from step `step` on; it is not written to the disk."""
        self._images[int(step)] = png(check_image(image, "image"))
        self._send_pictures()

    def stop(self) -> None:
        """Ask the run to stop after the step in progress, with everything saved."""
        self._asked.set()
        self.status = self._describe()

    def resume(self) -> None:
        """Go on with a run that was stopped; nothing happens while it runs or once it is complete."""
        if self._job is None:
            raise ValueError("this watch only reads a log: start a run with TrainingWatch.train(recipe, root, out)")
        if not self.running and self.result is None:
            self._start(True)

    def wait(self, seconds: float | None = None) -> dict[str, Any] | None:
        """Wait until the run is over, or so long; what result.json holds, or None if it is not complete."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.result

    def to_html(self, path: str | Path, *, title: str | None = None, overwrite: bool = False) -> Path:
        """Write one file that replays the run; there it can be neither stopped nor resumed."""
        with self.hold_sync():
            kept, self.controls = self.controls, False
            try:
                return super().to_html(path, title=title, overwrite=overwrite)
            finally:
                self.controls = kept

    def __repr__(self) -> str:
        return f"<TrainingWatch: {self.name}, {self.total} steps>"

    def _start(self, resume: bool) -> None:
        self._asked.clear()
        self.fault, self.running = "", True
        self.status = self._describe()
        self._thread = threading.Thread(target=self._work, args=(resume,), name="training", daemon=True)
        self._thread.start()

    def _work(self, resume: bool) -> None:
        """The background's part: train, and tell a fault instead of raising it where nobody would see it."""
        try:
            self.result = self._job(resume=resume, on_step=self._note, stop=self._asked.is_set)
        except Exception as error:
            self.fault = str(error) or type(error).__name__
        self.running = False
        try:
            self.refresh()
        except InputError as error:
            self.status = str(error)

    def _note(self, line: dict[str, Any]) -> None:
        """After each step: what was asked for, and a look at the log a few times a second."""
        for call in self._after:
            call(line)
        now = time.monotonic()
        if now - self._looked > HURRY_SECONDS:
            self._looked = now
            with suppress(InputError):  # a log that somebody spoilt is told at the end, and stops no run
                self.refresh()

    def _describe(self) -> str:
        done = self.steps
        if self.fault:
            return self.fault
        if not done:
            return "starting" if self.running else "no step yet"
        if self.running:
            return "stopping after this step" if self._asked.is_set() else "running"
        if self.total and done >= self.total:
            return "finished"
        return f"stopped at step {done}" if self.controls else f"{done} of {self.total or 'unknown'} steps"

    @property
    def steps(self) -> int:
        """The newest step in the log, 0 before the first."""
        points = self.recent or self.history
        return int(np.frombuffer(points, np.float32)[-len(POINT)]) if points else 0

    def _send_pictures(self) -> None:
        if len(self._images) == len(self.places):
            return
        steps = sorted(self._images)
        ends = np.cumsum([len(self._images[step]) for step in steps]).tolist()
        with self.hold_sync():
            self.pictures = b"".join(self._images[step] for step in steps)
            self.places = [list(place) for place in zip(steps, [0, *ends], ends, strict=False)]

    def _answer_wish(self, change: Any) -> None:
        if change["new"] and self._job is not None:
            self.stop() if change["new"] == "stop" else self.resume()
        self.wish = ""

    def _follow(self, change: Any) -> None:
        if change["new"]:
            threading.Thread(target=_look_again, args=(weakref.ref(self),), name="watch", daemon=True).start()


def _look_again(reference: Callable[[], TrainingWatch | None]) -> None:
    """Read what is new once a second, for as long as somebody holds the watch and wants it live."""
    while (watch := reference()) is not None and watch.live:
        try:
            watch.refresh()
        except InputError as error:
            watch.status, watch.live = str(error), False
        del watch
        time.sleep(PAUSE_SECONDS)
