"""Histories: a log folded again, and its edges compared with those recorded live."""
