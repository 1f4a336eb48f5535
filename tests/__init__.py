from pathlib import Path

CLONE = Path(__file__).parents[1]
