"""Descriptions of formats, a file each; see ``recloser.importers.descriptions``."""
