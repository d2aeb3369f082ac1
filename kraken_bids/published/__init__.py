"""What others publish: which files, whether a copy is sound, how to get one."""
