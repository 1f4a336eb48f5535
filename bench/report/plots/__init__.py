"""What the plots of a report show."""
