"""From arrays to figures.

Every figure is drawn on the card of ``picture`` with what ``layout``, ``axes``, ``colours``, ``heatmap``,
``flow_diagram`` and ``patchwork`` draw. For all chapters: ``pipeline_strip``, ``panels`` (segmentations, scores,
attention, curves), ``arrays`` (rows of images, patches, matrices, shapes) and ``plots`` (bars, long tails). A figure of
one chapter lies in the file named after it: ``ch01_ade20k``, ``ch02_augmentation``, ``ch02_resampling``,
``ch03_patches``, ``ch04_attention``, ``ch05_encoder``, ``ch09_training``, ``ch11_results``.
"""
