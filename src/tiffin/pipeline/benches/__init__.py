"""Where steps are done: containers of any engine, or this very Python; and what a step is given, its code above all."""
