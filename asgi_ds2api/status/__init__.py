"""What an operator sees of a running gateway, and how it is steered by hand."""
