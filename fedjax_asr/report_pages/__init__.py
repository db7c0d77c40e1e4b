"""Pages about a run: one for browsers, one as Markdown and one as LaTeX."""
