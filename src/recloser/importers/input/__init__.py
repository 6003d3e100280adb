"""Input: files and standard input, unpacked and cut into lines or JSON values."""
