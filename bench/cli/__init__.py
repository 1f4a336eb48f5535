"""The doors: the command line, and the plug-in of pytest."""
