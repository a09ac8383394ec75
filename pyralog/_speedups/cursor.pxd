# Bounds-checked big-endian reads and varints over one buffer: the only place where lengths from the wire are tested.
