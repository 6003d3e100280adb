"""Classification: from the values of a record to the outcome of its call."""
