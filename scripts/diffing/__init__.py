"""From two states of the API to a report: what `spec_diff` is made of."""
