"""Photographs for training and judging: found, checked, split, cached, cut and aged.

sources.py   folders, tar shards and files as one list of items
photos.py    items decoded once, checked, and kept in memory
split.py     train, val and test by content hash, stored in the run
crops.py     which part of a photograph a sample is, and how it is cut
defects.py   which defects of age a sample gets, and how strong
aging.py     a grey crop as old film, paper and scanners would have made it
batches.py   numbered samples, seeded one by one, cut ahead of the loop
device.py    the same samples cut and aged on the device, from photographs kept there
resampling.py, device_aging.py   how: many crops, many greys at once
tensors.py   uint8 crops -> L and ab on the device
colorfulness.py  how colourful a photograph is; the study behind a split
"""
