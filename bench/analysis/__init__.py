"""From records to conclusions. Pure."""
