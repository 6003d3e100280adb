"""Detection: finding the format of a file by its first lines."""
