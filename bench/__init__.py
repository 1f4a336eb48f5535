"""The weighing. Knows no framework, no task and no backend by name.

Measuring rules are cited by their numbers in docs/measuring-rules.md.
"""
