"""The segmentation sets: what no file of theirs says about their masks."""

MASKS = {
    "oxford_iiit_pet": (1, ("pet", "background", "outline")),
    "scenes": (0, ("ground", "disc", "square", "triangle", "ring")),
}
"""Name of the data set -> the number that stands for its first class, and the names of all."""
