"""Vision Transformers for semantic segmentation: the library that the course builds.

The whole pipeline, with the file that holds each box::

    image ──► transforms ──► patches ──► encoder ───────► neck ───────► upernet ─► logits ─► inference ─► labels
              data/          model/      model/encoder    model/neck    model/                engine/
              transforms     patches     + attention      (optional)    upernet               inference
    (H W 3)   (3 H W)        (N C)       4 × (C h w)      4 scales      (K h' w')             (H W)

    training: data/loading ─► engine/training ─► engine/loss, engine/schedule ─► engine/checkpoints
    numbers:  engine/inference ─► engine/metrics ─► mIoU

The letters that name axes everywhere:

    B batch   N tokens   C channels   H W pixels   h w grid of patches   K classes   heads   d width of one head

``model`` computes as the chapters build it, and ``model.fast.fast(model)`` gives the same, sooner. Imports go one way:
``files`` ◄ ``data``, ``model`` ◄ ``recipes`` ◄ ``engine`` ◄ ``commands`` ◄ ``cli``. Beside this core lie ``toy``, which
draws the toy scenes, and ``course``, what only the notebooks need. Every published model: ``vitseg_lib.recipes``.
"""
