"""Charts: a panel is a Vega-Lite spec with placeholders for columns and strings, and the rows that fill it.

`registry.PANELS` contains them all. `panel(name).chart(rows)` fills one, `render` makes a file of it. The same spec is
pushed to W&B, which fills it from a run's logged table.
"""
