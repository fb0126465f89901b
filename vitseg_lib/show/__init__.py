"""From numbers to pictures: the course's figures, and its ``widgets``.

Every picture is drawn on the card of ``picture`` with what ``parts``, ``scales``, ``colours``, ``heat``, ``flow`` and
``patchwork`` draw. For all chapters: ``pipeline_strip``, ``figures`` (segmentations, scores, attention, curves),
``arrays`` (rows of images, patches, matrices, shapes), ``plots`` (bars, long tails), ``sliders``. For one chapter:
``machine`` and ``photo_upload`` (00), ``dataset`` (01), ``augmented`` and ``augmenting`` (02), ``patched`` (03),
``attending`` (04), ``layered`` and ``probing`` (05), ``training_run`` (09), ``results`` (11).
"""
