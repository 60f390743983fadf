"""In which order the tasks run, and the command line."""
