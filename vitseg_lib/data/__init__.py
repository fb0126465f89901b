"""Pixels and labels: reading ADE20K and its like, drawing toy scenes, augmenting and batching them."""
