"""The version of this library, which every log it writes names."""

__version__ = "0.1.0"
