"""The training watch: it reads a log as it grows, starts, stops and resumes a run, and replays it in a page."""

import gc
import json
import re
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from vitseg_lib.course.widgets import run_reading
from vitseg_lib.course.widgets.base import CourseWidget
from vitseg_lib.course.widgets.run_reading import LogTail
from vitseg_lib.course.widgets.training_watch import FOLD, TrainingWatch
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.files import InputError
from vitseg_lib.state_files import read_safetensors
from widgets.cells import APART

TINY = replace(tiny.TINY, iterations=8, evaluate_every=4)


def line(step: int, **more) -> str:
    loss = 3 / (1 + step / 20) + 0.2 * np.sin(step)
    return json.dumps({"step": step, "lr": 1e-3 * (1 - step / 400), "loss": loss} | more) + "\n"


def log_of(steps) -> str:
    return "".join(line(step, **({"mIoU": step / 4} if step % 50 == 0 else {})) for step in steps)


@pytest.fixture
def folder(tmp_path):
    """A run folder of 200 of 400 steps."""
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {"name": "toy", "iterations": 400}}))
    (tmp_path / "log.jsonl").write_text(log_of(range(1, 201)))
    return tmp_path


def points(watch) -> np.ndarray:
    return np.frombuffer(watch.history + watch.recent, np.float32).reshape(-1, 3)


def test_it_sends_what_the_log_holds(folder):
    watch = TrainingWatch(folder)
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
    expected = np.array([[entry["step"], entry["loss"], entry["lr"]] for entry in lines], np.float32)
    assert (points(watch) == expected).all()
    assert watch.scores == [[50, 12.5], [100, 25.0], [150, 37.5], [200, 50.0]]
    assert (watch.name, watch.total, watch.steps, watch.status) == ("toy", 400, 200, "200 of 400 steps")
    assert "50 percent at step 200" in watch.alt and "arrow keys" in watch.alt
    assert repr(watch) == watch._repr_mimebundle_()[0]["text/plain"] == "<TrainingWatch: toy, 400 steps>"


def test_only_what_is_new_is_read_and_half_a_line_waits(folder):
    watch = TrainingWatch(folder)
    text = line(202)
    with (folder / "log.jsonl").open("a") as log:
        log.write(line(201) + text[:20])
        log.flush()
        assert watch.refresh() == 1 and watch.steps == 201
        assert watch.refresh() == 0
        log.write(text[20:])
        log.flush()
        assert watch.refresh() == 1 and watch.steps == 202
    assert len(points(watch)) == 202


def test_old_points_are_not_sent_again(folder):
    (folder / "log.jsonl").write_text(log_of(range(1, FOLD + 101)))
    watch = TrainingWatch(folder)
    sent = []
    watch.observe(lambda change: sent.append((change["name"], len(change["new"]))), names=["history", "recent"])
    with (folder / "log.jsonl").open("a") as log:
        for first in range(FOLD + 101, FOLD + 131, 10):
            log.write(log_of(range(first, first + 10)))
            log.flush()
            watch.refresh()
    assert sent == [("recent", 12 * count) for count in (10, 20, 30)]
    assert (points(watch)[:, 0] == np.arange(1, FOLD + 131)).all()


def test_a_log_that_a_resumed_run_wrote_again_is_read_again(folder):
    watch = TrainingWatch(folder)
    shorter = folder / "new"
    shorter.write_text(log_of(range(1, 121)))
    shorter.replace(folder / "log.jsonl")
    watch.refresh()
    assert watch.steps == 120 and len(points(watch)) == 120
    assert watch.scores == [[50, 12.5], [100, 25.0]]
    (folder / "log.jsonl").unlink()
    watch.refresh()
    assert watch.steps == 0 and watch.status == "no step yet"


def test_a_folder_without_a_step_and_one_that_is_not_there(tmp_path):
    watch = TrainingWatch(tmp_path)
    assert (watch.status, watch.steps, watch.total, watch.refresh()) == ("no step yet", 0, 0, 0)
    assert "No step yet." in watch.alt
    (tmp_path / "log.jsonl").write_text('{"step": 1, "lo')
    assert watch.refresh() == 0
    with pytest.raises(InputError, match=r"There is no run folder .*nowhere: start a run with `vitseg train") as fault:
        TrainingWatch(tmp_path / "nowhere")
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("content", ["not json", '{"step": 3}', "[1, 2]", "7", '{"step": 3, "loss": "x", "lr": 1}'])
def test_a_damaged_line_is_named_by_its_number(folder, content):
    with (folder / "log.jsonl").open("a") as log:
        log.write(content + "\n")
    with pytest.raises(InputError, match=r"log.jsonl is damaged in line 201, which is no step's: remove that line"):
        TrainingWatch(folder)


def test_an_evaluation_without_a_score_is_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2, "lr": 0.1, "mIoU": NaN}\n')
    _, lines = LogTail(tmp_path / "log.jsonl").read()
    assert lines == [{"step": 1, "loss": 2.0, "lr": 0.1}]


def test_live_reads_by_itself_and_ends_with_the_watch(folder, monkeypatch):
    monkeypatch.setattr("vitseg_lib.course.widgets.training_watch.PAUSE_SECONDS", 0.01)
    watch = TrainingWatch(folder, live=True)
    with (folder / "log.jsonl").open("a") as log:
        log.write(line(201))
    until(lambda: watch.steps == 201)
    with (folder / "log.jsonl").open("a") as log:
        log.write("nonsense\n")
    until(lambda: not watch.live)
    assert "damaged in line 202" in watch.status
    gc.collect()


def until(true, seconds: float = 60.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it never came true")


def test_predictions_come_from_the_folder_and_from_the_caller(folder):
    (folder / "predictions").mkdir()
    red = np.full((12, 20, 3), (200, 30, 0), np.uint8)
    (folder / "predictions" / "000100.png").write_bytes(run_reading.png(red))
    (folder / "predictions" / ".000150.png").write_bytes(b"half")
    watch = TrainingWatch(folder)
    watch.add_prediction(50, np.zeros((8, 600, 3), np.uint8))
    (first, start, end), (second, *_) = watch.image_ranges
    assert (first, second) == (50, 100)
    with pytest.raises(ValueError, match="image holds float64; give uint8"):
        watch.add_prediction(60, np.zeros((4, 4, 3)))
    assert watch.images[start:end].startswith(b"\x89PNG")
    last = watch.image_ranges[1]
    (folder / "sent.png").write_bytes(watch.images[last[1] : last[2]])
    assert (np.array(Image.open(folder / "sent.png")) == red).all()


# A run of our own.


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny.make_pictures(tmp_path_factory.mktemp("data"))


def some_image(root) -> np.ndarray:
    return np.array(Image.open(root / "images" / "validation" / "0.png"))


def test_a_watched_run_that_is_stopped_and_resumed_is_the_run_alone(root, tmp_path):
    alone = tiny.train(root, tmp_path / "alone", TINY)
    seen, watches = [], []

    def stop_early(entry):
        seen.append(entry["step"])
        if entry["step"] == 3:
            until(lambda: watches)
            watches[0].request = "stop"  # as the button does

    options = {"image": some_image(root), "image_every": 2, "on_step": stop_early}
    watches.append(watch := TrainingWatch.train(RunSettings(TINY, root, tmp_path / "watched"), **options))
    assert watch.wait(60) is None
    assert (watch.status, watch.running, watch.request) == ("stopped at step 3", False, "")
    watch.request = "resume"
    assert watch.wait(60) == alone
    assert seen == list(range(1, 9))
    assert (watch.status, watch.steps, watch.running) == ("finished", 8, False)
    assert [step for step, *_ in watch.image_ranges] == [2, 4, 6, 8]
    log, log_alone = ((tmp_path / name / "log.jsonl").read_text() for name in ("watched", "alone"))
    assert log == log_alone
    ours, theirs = (read_safetensors(tmp_path / name / "last.safetensors")[0] for name in ("watched", "alone"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    watch.resume()  # nothing is left to do
    assert not watch.running
    again = TrainingWatch(tmp_path / "watched")
    assert (again.status, again.image_ranges) == ("finished", watch.image_ranges)
    assert (points(again) == points(watch)).all()


def test_a_run_that_cannot_start_says_so(root, tmp_path):
    watch = TrainingWatch.train(RunSettings(TINY, tmp_path / "no data", tmp_path / "run"))
    watch.wait(60)
    assert watch.status.startswith("There is no data set at") and not watch.running
    with pytest.raises(ValueError, match="image has the shape"):
        TrainingWatch.train(RunSettings(TINY, root, tmp_path / "run"), image=np.zeros((4, 4), np.uint8))


def test_a_watch_that_only_reads_cannot_resume(folder):
    with pytest.raises(ValueError, match=r"this watch only reads a log: start a run with TrainingWatch.train"):
        TrainingWatch(folder).resume()


def test_a_page_has_no_buttons_for_a_kernel_that_is_not_there(root, tmp_path):
    watch = TrainingWatch.train(RunSettings(TINY, root, tmp_path / "run"))
    watch.wait(60)
    text = watch.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert '"controls": false' in text and watch.controls
    assert len(text) < 100_000


# In the browser.


def smoothed(losses, span: float) -> np.ndarray:
    """The same average by another way: every value's weight written out."""
    keep = np.exp(-1 / span)
    ages = np.arange(len(losses))[:, None] - np.arange(len(losses))
    kept = np.where(ages >= 0, keep ** np.maximum(ages, 0), 0)
    return (kept * losses).sum(axis=1) / kept.sum(axis=1)


def frame(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def read(page) -> list[str]:
    frame(page)
    return page.locator(".heading b").all_inner_texts()


def expected_at(watch, step: int) -> list[str]:
    """What the headings should say at a step."""
    steps, losses, rates = points(watch).astype(float).T
    i = int(np.flatnonzero(steps == step)[0])
    smooth = smoothed(losses, max(4, watch.total / 60))[i]
    scores = [f"{score:.1f} % at step {when}" for when, score in watch.scores if when <= step]
    rate = f"{rates[i]:.2e}" if rates[i] < 1e-3 else f"{rates[i]:.3g}"
    return [f"{losses[i]:.3f}, smoothed {smooth:.3f}", rate, scores[-1] if scores else "not measured yet"]


def same(seen: list[str], expected: list[str]) -> bool:
    """Compare loss and score as words, and the rate to two digits."""
    rates = [float(words[1].replace("−", "-")) for words in (seen, expected)]
    return seen[::2] == expected[::2] and abs(rates[0] / rates[1] - 1) < 0.06


PLOTS = "() => [...document.querySelectorAll('.plot')].map((plot) => plot.toDataURL())"


@pytest.fixture
def opened(folder, open_widget):
    watch = TrainingWatch(folder)
    for step, grey in ((60, 90), (120, 200)):
        watch.add_prediction(step, np.full((20, 30, 3), grey, np.uint8))
    return watch, open_widget(watch), open_widget


@pytest.mark.slow
def test_it_finds_its_colours_when_it_is_put_on_the_page_later(opened):
    """As JupyterLab does: it renders first and attaches then."""
    _, page, _ = opened
    frame(page)
    before = page.evaluate(PLOTS)
    page.evaluate(APART)
    frame(page)
    assert page.evaluate(PLOTS) == before


@pytest.mark.slow
def test_keys_move_through_the_run_and_read_it_out(opened):
    watch, page, _ = opened
    assert same(read(page), expected_at(watch, 200))
    before = page.evaluate(PLOTS)
    page.get_by_role("slider", name="step").focus()
    for key, step in (("ArrowLeft", 199), ("ArrowLeft", 198), ("Home", 1), ("ArrowRight", 2)):
        page.keyboard.press(key)
        assert same(read(page), expected_at(watch, step))
    assert all(one != two for one, two in zip(before, page.evaluate(PLOTS), strict=True))
    assert page.evaluate("widgetModel.get('step')") == 2
    page.wait_for_function("document.querySelector('[aria-live]').textContent.startsWith('step 2: loss ')")
    page.get_by_role("button", name="newest").press("Enter")
    assert same(read(page), expected_at(watch, 200))


@pytest.mark.slow
@pytest.mark.parametrize("touch", [False, True])
def test_pointing_reads_a_step_and_pressing_keeps_it(opened, touch):
    watch, page, open_widget = opened
    page = open_widget(watch, touch=True, width=440) if touch else page
    box = page.locator(".plot").first.bounding_box()
    x, y = box["x"] + 46 + (box["width"] - 56) * 100.4 / 400, box["y"] + 50
    if touch:
        page.touchscreen.tap(x, y)
    else:
        page.mouse.move(x, y)
        assert same(read(page), expected_at(watch, 100))
        assert page.evaluate("widgetModel.get('step')") == 0  # looking sends nothing
        page.mouse.move(5, 5)
        assert same(read(page), expected_at(watch, 200))
        page.mouse.click(x, y)
        page.mouse.move(5, 5)
    assert same(read(page), expected_at(watch, 100))
    assert page.evaluate("widgetModel.get('step')") == 100


@pytest.mark.slow
def test_the_prediction_is_the_newest_one_before_the_step(opened):
    _, page, _ = opened
    scrub = page.get_by_role("slider", name="step")
    for index, words in ((199, "at step 120"), (119, "at step 120"), (118, "at step 60"), (3, "comes at step 60")):
        scrub.evaluate("(e, value) => { e.value = value; e.dispatchEvent(new Event('input')); }", index)
        frame(page)
        assert page.locator("figcaption").inner_text().endswith(words)
    assert page.locator("figure img").evaluate("e => e.naturalWidth") == 30


@pytest.mark.slow
def test_it_plays_and_pauses(opened):
    _, page, _ = opened
    page.get_by_role("button", name="Play the run from this step").press("Enter")
    position = "document.querySelector('input[type=range]').value"  # 199 until the first frame of the play
    page.wait_for_function(f"{position} > 20 && {position} < 150")
    page.get_by_role("button", name="Pause").press("Enter")
    frame(page)
    now = page.locator("input[type=range]").input_value()
    page.wait_for_timeout(300)
    assert page.locator("input[type=range]").input_value() == now and int(now) < 199


@pytest.mark.slow
def test_new_points_arrive_while_it_is_open(opened):
    _, page, _ = opened
    floats = np.array([[201, 0.125, 5e-4]], np.float32).tobytes()
    send = "values => widgetModel.set('recent', new DataView(new Uint8Array(values).buffer))"
    page.evaluate(send, list(floats))
    seen = read(page)
    assert seen[0].startswith("0.125, smoothed") and page.locator("output").inner_text() == "201 of 400"
    page.get_by_role("slider", name="step").press("Home")
    page.evaluate(send, list(floats + np.array([[202, 0.25, 5e-4]], np.float32).tobytes()))
    frame(page)
    assert page.locator("output").inner_text() == "1 of 400"  # who looks back is left there


@pytest.mark.slow
def test_the_buttons_request_stop_and_resume(folder, open_widget):
    watch = TrainingWatch(folder)
    watch.controls = watch.running = True
    watch.to_html = partial(CourseWidget.to_html, watch)
    page = open_widget(watch)
    stop, resume = (page.locator("button", has_text=words) for words in ("stop safely", "resume"))
    assert not resume.is_visible()
    stop.press("Enter")
    assert page.evaluate("widgetModel.get('request')") == "stop" and stop.is_disabled()
    page.evaluate("() => { widgetModel.set('request', ''); widgetModel.set('running', false); }")
    assert not stop.is_visible()
    resume.click()
    assert page.evaluate("widgetModel.get('request')") == "resume"


@pytest.mark.slow
def test_empty_dark_and_narrow(tmp_path, folder, open_widget):
    (tmp_path / "empty").mkdir()
    page = open_widget(TrainingWatch(tmp_path / "empty"), width=440)
    assert read(page) == ["–", "–", "–"] and page.get_by_text("no step yet").first.is_visible()
    assert page.get_by_role("slider", name="step").is_disabled()
    watch = TrainingWatch(folder)
    for width in (440, 1000):
        page = open_widget(watch, scheme="dark", width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        labels = page.eval_on_selector_all(".plot", "all => all.map((e) => e.getAttribute('aria-label'))")
        assert [re.sub(" at .*", "", words) for words in labels] == [
            "loss by step;", "learning rate by step;", "mean IoU by step;"
        ]  # fmt: skip
    heights = page.eval_on_selector_all("button:not([hidden]), input", "all => all.map((e) => e.offsetHeight)")
    assert min(heights) >= 28
