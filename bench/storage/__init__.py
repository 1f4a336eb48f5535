"""Everything that lies on a disk."""
