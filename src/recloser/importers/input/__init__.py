"""Input: files and standard input, unpacked and cut into batches of lines or JSON values."""
