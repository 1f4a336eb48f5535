"""Attacks: what others may do to this program by intent or by accident, tried over and over from a seed."""
