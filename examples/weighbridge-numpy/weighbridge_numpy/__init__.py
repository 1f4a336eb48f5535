"""Plug-ins for Weighbridge: the backend `numpy` and the task `breast-cancer`."""
