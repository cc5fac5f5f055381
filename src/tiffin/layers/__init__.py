"""Files in, one deterministic layer out: wheels (spliced), debs, plain files, bytecode."""
