"""Speed, measured beside what people would use instead: `python -m bench.speed`. Each part can be run alone."""
