"""How results are printed: tables, lines, Markdown and JSON."""
