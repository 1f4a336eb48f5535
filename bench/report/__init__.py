"""Records -> a table in the terminal, Markdown and CSV: three renderings of one list of columns."""
