"""Columnar replay: the kernel run over the columns of an exported log."""
