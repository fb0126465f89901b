"""The training watch: loss, learning rate, mIoU and predictions of a run, while it is running or afterwards.

TrainingWatch("../runs/toy")                      replays the log of a run
TrainingWatch.train(settings, image=image)        trains in the background, and can stop and resume
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

from vitseg_lib.course.widgets.base import CourseWidget, check_image
from vitseg_lib.course.widgets.run_reading import POINT, POINT_BYTES, LogTail, Snapshots, describe, png, recipe_of
from vitseg_lib.engine import training
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.files import InputError

FOLD = 1024  # steps: so many are sent again with every new one, and older ones only once in so many
PAUSE_SECONDS = 1.0  # between two reads of a live log
REFRESH_SECONDS = 0.25  # between two reads of the log of a run of our own
SNAPSHOTS = 28  # predictions of a run, by default


class TrainingWatch(CourseWidget, source=("watch_chart", "training_watch")):
    """Draws a run folder's log.jsonl, replays it, and shows the prediction of the chosen step.

    With `live`, what is new is read every second. Predictions are PNG files in the folder's `predictions/`, named
    by their step, and those given to `add_prediction`. The browser sets `step`, the chosen one (0: the newest), and
    `request`, "stop" or "resume", when a button is pressed.
    Raises `InputError` if there is no such folder, or if its log is damaged.
    """

    history = traitlets.Bytes().tag(sync=True)  # float32 (n, 3): step, loss, learning rate
    recent = traitlets.Bytes().tag(sync=True)  # the points after those
    scores = traitlets.List().tag(sync=True)  # [step, mIoU in percent] of each evaluation
    images = traitlets.Bytes().tag(sync=True)  # PNG files, one after the other
    image_ranges = traitlets.List().tag(sync=True)  # [step, first byte, byte after the last] of each
    name = traitlets.Unicode().tag(sync=True)
    total = traitlets.Int().tag(sync=True)  # steps of the whole run, 0 if unknown
    status = traitlets.Unicode().tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    controls = traitlets.Bool(False).tag(sync=True)  # whether there is something to stop and resume
    request = traitlets.Enum(("", "stop", "resume"), "").tag(sync=True)
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
        self._stop_requested, self._read_at = threading.Event(), 0.0
        self.result: dict[str, Any] | None = None
        self.error = ""
        super().__init__(name=name, total=total, label=f"Training watch of {name}")
        self.observe(self._on_request, names="request")
        self.observe(self._follow, names="live")
        self.refresh()

    @classmethod
    def train(
        cls,
        settings: RunSettings,
        *,
        image: np.ndarray | None = None,
        image_every: int | None = None,
        resume: bool = False,
        on_step: Callable[[dict[str, Any]], None] | None = None,
    ) -> "TrainingWatch":
        """Start `training.train` in the background and watch it; it has then `stop`, `resume` and `wait`.

        `image`, uint8 (H, W, 3), is labelled every `image_every` steps on the way, which changes nothing in the run.
        `on_step` gets each line of the log. Draw no random numbers with torch meanwhile: the run shares its generator.
        """
        watch, recipe = cls.__new__(cls), settings.recipe
        watch._begin(Path(settings.out), recipe.name, recipe.iterations)
        watch.controls = True
        snapshots = None
        if image is not None:
            every = image_every or max(1, recipe.iterations // SNAPSHOTS)
            snapshots = Snapshots(settings, check_image(image, "image"), every)
        watch._job = partial(_train, settings, snapshots)
        watch._after = [call for call in (on_step, snapshots and snapshots.take) if call]
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
            self._send_images()
            self.status = self._describe()
            self.alt = describe(self.name, self.history + self.recent, self.scores)
            return len(lines)

    def add_prediction(self, step: int, image: np.ndarray) -> None:
        """Show `image`, uint8 (H, W, 3), from step `step` on; it is not written to the disk."""
        self._images[int(step)] = png(check_image(image, "image"))
        self._send_images()

    def stop(self) -> None:
        """Stop the run after the step in progress, with everything saved."""
        self._stop_requested.set()
        self.status = self._describe()

    def resume(self) -> None:
        """Resume a run that was stopped; nothing happens while it is running or once it is complete."""
        if self._job is None:
            raise ValueError("this watch only reads a log: start a run with TrainingWatch.train(settings)")
        if not self.running and self.result is None:
            self._start(True)

    def wait(self, seconds: float | None = None) -> dict[str, Any] | None:
        """Wait for the end of the run, at most `seconds`; what result.json holds, or None if it is not complete."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.result

    def to_html(self, path: str | Path, *, title: str | None = None, overwrite: bool = False) -> Path:
        """Write one file that replays the run; there it can be neither stopped nor resumed."""
        with self.hold_sync():
            before, self.controls = self.controls, False
            try:
                return super().to_html(path, title=title, overwrite=overwrite)
            finally:
                self.controls = before

    def __repr__(self) -> str:
        return f"<TrainingWatch: {self.name}, {self.total} steps>"

    def _start(self, resume: bool) -> None:
        self._stop_requested.clear()
        self.error, self.running = "", True
        self.status = self._describe()
        self._thread = threading.Thread(target=self._work, args=(resume,), name="training", daemon=True)
        self._thread.start()

    def _work(self, resume: bool) -> None:
        """The thread's part: train, and keep an error as the status, for nobody would see it raised here."""
        try:
            self.result = self._job(resume=resume, on_step=self._on_step, stop=self._stop_requested.is_set)
        except Exception as error:
            self.error = str(error) or type(error).__name__
        self.running = False
        try:
            self.refresh()
        except InputError as error:
            self.status = str(error)

    def _on_step(self, line: dict[str, Any]) -> None:
        """After each step: the requested calls, and a read of the log a few times per second."""
        for call in self._after:
            call(line)
        now = time.monotonic()
        if now - self._read_at > REFRESH_SECONDS:
            self._read_at = now
            with suppress(InputError):  # a log that somebody damaged is reported at the end, and stops no run
                self.refresh()

    def _describe(self) -> str:
        done = self.steps
        if self.error:
            return self.error
        if not done:
            return "starting" if self.running else "no step yet"
        if self.running:
            return "stopping after this step" if self._stop_requested.is_set() else "running"
        if self.total and done >= self.total:
            return "finished"
        return f"stopped at step {done}" if self.controls else f"{done} of {self.total or 'unknown'} steps"

    @property
    def steps(self) -> int:
        """The newest step in the log, 0 before the first."""
        points = self.recent or self.history
        return int(np.frombuffer(points, np.float32)[-len(POINT)]) if points else 0

    def _send_images(self) -> None:
        if len(self._images) == len(self.image_ranges):
            return
        steps = sorted(self._images)
        ends = np.cumsum([len(self._images[step]) for step in steps]).tolist()
        with self.hold_sync():
            self.images = b"".join(self._images[step] for step in steps)
            self.image_ranges = [list(row) for row in zip(steps, [0, *ends], ends, strict=False)]

    def _on_request(self, change: Any) -> None:
        if change["new"] and self._job is not None:
            self.stop() if change["new"] == "stop" else self.resume()
        self.request = ""

    def _follow(self, change: Any) -> None:
        if change["new"]:
            threading.Thread(target=_read_again, args=(weakref.ref(self),), name="watch", daemon=True).start()


def _read_again(reference: Callable[[], TrainingWatch | None]) -> None:
    """Read what is new once per second, for as long as the watch exists and is live."""
    while (watch := reference()) is not None and watch.live:
        try:
            watch.refresh()
        except InputError as error:
            watch.status, watch.live = str(error), False
        del watch
        time.sleep(PAUSE_SECONDS)


def _train(
    settings: RunSettings, snapshots: Snapshots | None, *, resume: bool, **options: Any
) -> dict[str, Any] | None:
    model = snapshots.build(resume) if snapshots else None
    return training.train(settings, model=model, resume=resume, progress=False, **options)
