"""Charts: what is drawn is a Vega-Lite spec, a plain dict; `render` makes a file of any of them."""
