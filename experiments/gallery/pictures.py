"""What the gallery shows without a trained network, in the order in which it is learned."""

from experiments.gallery import maps, pools, windows

SECTIONS = (*windows.SECTIONS, *pools.SECTIONS, *maps.SECTIONS)
