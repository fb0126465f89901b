"""The segmenter, box by box: patches, attention, encoder, neck, UPerNet head, and their weights."""
