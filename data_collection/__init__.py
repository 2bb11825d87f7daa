"""The episode format, defined once: writer, reader, check, repair, reports, command line."""
