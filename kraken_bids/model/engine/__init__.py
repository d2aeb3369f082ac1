"""How a model computes: folded maps, block by block, on a CPU or a GPU."""
