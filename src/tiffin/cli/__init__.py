"""Read arguments, call one verb, print the result; one file a command."""
