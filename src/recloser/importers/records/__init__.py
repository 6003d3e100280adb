"""Readers: lines into records. Each kind of text has one, with parameters from its format's file."""
