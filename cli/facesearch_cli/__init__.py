"""Words on a terminal: options, progress, tables and exit codes over the `facesearch` library."""
