"""What the user writes, typed and strict, with the place of every mistake."""
