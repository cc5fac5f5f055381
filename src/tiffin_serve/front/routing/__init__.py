"""Several revisions of one service behind one door: which of them answers, and who waits for one (spec/fronts.md)."""
