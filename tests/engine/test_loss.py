"""The chunked loss against the plain one, with its gradient."""

import pytest
import torch
import torch.nn.functional as F

from vitseg_lib.engine import fast_loss
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss, source_rows
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.model.fast import resize_matrix


@pytest.mark.parametrize("at_once", [1, 3000, 2**20])
@pytest.mark.parametrize(
    ("small", "size"), [((8, 9), (32, 43)), ((7, 5), (7, 5)), ((16, 16), (9, 5)), ((1, 1), (5, 6))]
)
def test_loss_and_gradient_are_those_of_the_whole(monkeypatch, at_once, small, size):
    monkeypatch.setattr(fast_loss, "chunk_elements", lambda device: at_once)
    logits = (5 * torch.randn(2, 15, *small, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, 15, (2, *size))
    labels[:, : size[0] // 3] = 255
    whole = F.interpolate(logits, size=size, mode="bilinear")
    expected = F.cross_entropy(whole, labels, ignore_index=255, reduction="none").mean()
    plain, quick = (loss(logits, labels) for loss in (segmentation_loss, chunked_segmentation_loss))
    torch.testing.assert_close(plain, expected)
    torch.testing.assert_close(quick, expected)
    ours, theirs = (torch.autograd.grad(3 * value, logits)[0] for value in (quick, plain))
    torch.testing.assert_close(ours, theirs)


def test_half_precision_around_it_takes_no_bits_from_it():
    logits = torch.randn(2, 15, 8, 8, requires_grad=True)
    labels = torch.randint(0, 15, (2, 64, 64))
    outside = chunked_segmentation_loss(logits, labels)
    with torch.autocast("cpu", torch.bfloat16):
        inside = chunked_segmentation_loss(logits, labels)
    assert inside.dtype == torch.float32 and inside.item() == outside.item()
    (expected,), (found,) = (torch.autograd.grad(value, logits) for value in (outside, inside))
    assert torch.equal(found, expected)
    halved = chunked_segmentation_loss(logits.detach().bfloat16(), labels)
    assert halved.dtype == torch.float32 and halved.item() == pytest.approx(outside.item(), rel=1e-2)


def test_huge_logits_overflow_nothing():
    logits = torch.tensor([[[[1e4]], [[-1e4]]]], requires_grad=True)
    found = chunked_segmentation_loss(logits, torch.ones(1, 2, 2, dtype=torch.int64))
    found.backward()
    assert found.item() == 2e4 and logits.grad.flatten().tolist() == [1.0, -1.0]


@pytest.mark.parametrize("wrong", [15, 200, -1])
def test_a_label_that_is_no_class_is_refused(wrong):
    with pytest.raises((IndexError, RuntimeError)):
        chunked_segmentation_loss(torch.randn(1, 15, 4, 4), torch.full((1, 8, 8), wrong))


@pytest.mark.parametrize(("old", "new"), [(8, 32), (8, 43), (32, 9), (1, 5), (5, 1), (43, 43)])
def test_source_rows_leave_out_nothing_that_counts(old, new):
    matrix = resize_matrix(old, new, torch.zeros(1, dtype=torch.float64))
    for top in range(new):
        for bottom in range(top + 1, new + 1):
            first, last = source_rows(top, bottom, old, new)
            assert matrix[top:bottom, :first].sum() == matrix[top:bottom, last:].sum() == 0


def test_a_second_derivative_is_refused_and_no_gradient_is_made_where_none_is_wanted():
    """It would be wrong without a word: the kept gradient does not know how it was computed."""
    logits, labels = torch.randn(1, 3, 2, 2, requires_grad=True), torch.zeros(1, 4, 4, dtype=torch.int64)
    (gradient,) = torch.autograd.grad(chunked_segmentation_loss(logits, labels), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()
    assert not chunked_segmentation_loss(logits.detach(), labels).requires_grad
