"""What a pipeline and its runs look like: as text in a terminal, as SVG in a page. Pure."""
