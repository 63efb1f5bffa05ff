"""Libraries' detectors over the same windows; each runs alone, in an environment of its own.

The argument of each is a file ``windows.npz`` with ``reference`` float32 ``[N, K]`` and ``windows``
float32 ``[W, n, K]``, or for streams one with ``clean`` and ``shifted`` float32 ``[S, T]``. Each
prints one line of JSON.
"""
