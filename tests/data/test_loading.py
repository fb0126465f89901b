"""What comes at which position of a run: the same whatever the workers, the resumption and the processes."""

import itertools
import multiprocessing
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from vitseg_lib.data.cache import DecodedCache
from vitseg_lib.data.loading import InfiniteSampler, SegmentationFolder, train_loader
from vitseg_lib.data.transforms import TrainPipeline
from vitseg_lib.files import InputError

PIPELINE = TrainPipeline(crop=16, scale=(64, 16))
COUNT = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    for split in ("training", "validation"):
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for number in range(COUNT):
            rng = np.random.default_rng(number)
            mask = np.full((20, 24), number + 1, np.uint8)
            mask[:, 12:] = 100
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(
                root / "images" / split / f"{number}.png"
            )
            Image.fromarray(mask).save(root / "annotations" / split / f"{number}.png")
    return root


def batches(root, count=None, **options):
    options = {"batch_size": 3, "seed": 1, "steps": range(6)} | options
    return list(itertools.islice(train_loader(root, PIPELINE, **options), count))


def assert_same(left, right):
    assert len(left) == len(right) > 0
    for (pixels, labels), (other_pixels, other_labels) in zip(left, right, strict=True):
        assert torch.equal(pixels, other_pixels) and torch.equal(labels, other_labels)


# The folder


def test_a_folder_without_transform_gives_what_it_read(root):
    folder = SegmentationFolder(root, "validation")
    assert len(folder) == COUNT and len(folder.classes) == 150
    image, labels = folder[3]
    assert image.shape == (20, 24, 3) and labels[0, 0] == 3 and labels[0, 23] == 99
    np.testing.assert_array_equal(folder[-4][0], image)
    assert len([pair for pair in folder]) == COUNT  # noqa: C416


def test_random_changes_depend_on_seed_and_position_only(root):
    folder = SegmentationFolder(root, "training", transform=PIPELINE, seed=5)
    again = SegmentationFolder(root, "training", transform=PIPELINE, seed=5)
    other = SegmentationFolder(root, "training", transform=PIPELINE, seed=6)
    image, labels = SegmentationFolder(root, "training")[2]
    expected, _ = PIPELINE(image, labels, np.random.default_rng((5, 40)))
    _ = again[(1, 0)]
    assert torch.equal(folder[(40, 2)][0], expected) and torch.equal(again[(40, 2)][0], expected)
    assert not torch.equal(other[(40, 2)][0], expected) and not torch.equal(folder[(41, 2)][0], expected)
    assert torch.equal(folder[2][0], folder[(2, 2)][0])


# The sampler


def test_every_epoch_visits_everything_once_in_its_own_order():
    visits = list(InfiniteSampler(COUNT, seed=0, positions=range(3 * COUNT)))
    assert [position for position, _ in visits] == list(range(3 * COUNT))
    epochs = [[index for _, index in visits[start : start + COUNT]] for start in range(0, 3 * COUNT, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert visits[:COUNT] != list(InfiniteSampler(COUNT, seed=1, positions=range(COUNT)))


def test_it_never_ends_without_positions():
    sampler = InfiniteSampler(COUNT, seed=0)
    for _ in range(2):
        assert [position for position, _ in itertools.islice(sampler, 1000)] == list(range(1000))


@pytest.mark.parametrize("positions", [range(1, 30), range(COUNT, 30), range(17, 30), range(0, 30, 3), range(5, 30, 8)])
def test_any_positions_have_the_indices_that_they_have_in_the_whole(positions):
    whole = list(InfiniteSampler(COUNT, seed=0, positions=range(30)))
    assert list(InfiniteSampler(COUNT, seed=0, positions=positions)) == [whole[position] for position in positions]


def test_the_order_and_the_changes_use_different_streams():
    order = [index for _, index in InfiniteSampler(1000, seed=3, positions=range(1000))]
    assert order != np.random.default_rng((3, 0)).permutation(1000).tolist()


# The loader


def test_batches_are_full_and_typed(root):
    loaded = batches(root)
    assert len(loaded) == 6  # 18 positions in a set of 7: batches run across the epochs
    for pixels, labels in loaded:
        assert pixels.shape == (3, 3, 16, 16) and pixels.dtype == torch.float32
        assert labels.shape == (3, 16, 16) and labels.dtype == torch.int64
        assert {*labels.unique().tolist()} <= {*range(150), 255}


def test_a_batch_larger_than_the_set(root):
    assert batches(root, batch_size=20, steps=range(2))[1][0].shape[0] == 20


def test_batches_follow_the_sampler_and_the_seeds(root):
    folder = SegmentationFolder(root, "training", transform=PIPELINE, seed=1)
    items = list(InfiniteSampler(COUNT, seed=1, positions=range(6, 9)))
    pixels, labels = batches(root)[2]
    for number, item in enumerate(items):
        assert torch.equal(pixels[number], folder[item][0])
        assert torch.equal(labels[number], folder[item][1].long())


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(root, workers):
    assert_same(batches(root, workers=workers), batches(root))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_changes_nothing(root, tmp_path, workers):
    cache = DecodedCache(tmp_path, SegmentationFolder(root, "training").classes)
    for _ in range(2):
        assert_same(batches(root, cache=cache, workers=workers), batches(root))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == COUNT


def test_resuming_changes_nothing(root):
    assert_same(batches(root, steps=range(4, 6)), batches(root)[4:])
    assert batches(root, steps=range(6, 6)) == [], "a run that is finished"


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_together_take_what_one_takes_alone(root, world):
    alone = batches(root, batch_size=4, steps=range(1, 3))
    ranks = [batches(root, batch_size=4 // world, steps=range(1, 3), shard=(rank, world)) for rank in range(world)]
    assert len(alone) == 2
    for step, whole in enumerate(alone):
        for rank, own in enumerate(ranks):
            assert_same([own[step]], [(whole[0][rank::world], whole[1][rank::world])])


def test_other_seeds_give_other_batches(root):
    assert not torch.equal(batches(root)[0][0], batches(root, seed=2)[0][0])


def test_loading_leaves_the_global_random_state_alone(root):
    before = torch.random.get_rng_state()
    batches(root)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_loader_can_be_sent_to_a_process_that_spawns(root):
    loader = train_loader(root, PIPELINE, batch_size=2, seed=0)
    for part in (loader.dataset, loader.sampler, loader.collate_fn, loader.worker_init_fn):
        pickle.loads(pickle.dumps(part))


@pytest.mark.slow
def test_spawned_workers_give_the_same_batches(root):
    loader = train_loader(root, PIPELINE, batch_size=3, seed=1, steps=range(6), workers=2)
    loader.multiprocessing_context = multiprocessing.get_context("spawn")
    assert_same(list(loader), batches(root))


needs_sigwaitinfo = pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="this system has no sigwaitinfo")


@needs_sigwaitinfo
@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_workers_leave_signals_from_elsewhere_to_the_main_process(root, name):
    loaded = iter(train_loader(root, PIPELINE, batch_size=3, seed=1, steps=range(6), workers=2))
    first = [next(loaded), next(loaded)]  # one of each worker, so that both have started
    pids = [str(worker.pid) for worker in multiprocessing.active_children()]
    assert len(pids) == 2
    subprocess.run(["kill", f"-{name}", *pids], check=True)
    assert_same([*first, *loaded], batches(root))


@needs_sigwaitinfo
@pytest.mark.slow
def test_a_process_that_ends_amid_its_loading_does_not_wait_for_its_workers(root):
    program = (
        "from vitseg_lib.data.loading import train_loader; from vitseg_lib.data.transforms import TrainPipeline\n"
        f"loaded = iter(train_loader({str(root)!r}, TrainPipeline(crop=16), batch_size=2, seed=0, workers=2))\n"
        "next(loaded); raise SystemExit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 7


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_one_sentence_wherever_it_is_read(root, tmp_path, workers):
    for split_folder in (path for path in root.rglob("*") if path.is_file()):
        copy = tmp_path / split_folder.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(split_folder.read_bytes())
    broken = tmp_path / "images" / "training" / "4.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=r"4\.png is damaged or truncated") as caught:
        batches(tmp_path, workers=workers)
    assert type(caught.value) is InputError and "\n" not in str(caught.value)


def test_a_folder_that_is_no_data_set_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        train_loader(tmp_path, PIPELINE, batch_size=1, seed=0)
