"""From a commit to services that run: the steps of a release, a scan, and the files of CI systems."""
