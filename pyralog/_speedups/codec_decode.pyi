# Nothing for Python: codec.pyx calls it.
