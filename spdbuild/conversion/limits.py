"""How far apart networks may be that count as equal: max |a - b| / max |a|."""

#: In float64 throughout, and with weights once rounded to float32.
EXACT, ROUNDED = 1e-10, 1e-5
