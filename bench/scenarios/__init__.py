"""What is asked of a cell: one room a scenario, none of which imports another."""
