"""MLPerf's scenarios: single stream, multi stream, offline, server; then the self-audit."""
