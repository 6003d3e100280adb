"""The fold over columns: from edge to edge, and over what lies between without looking at it."""
