"""An anytime-valid drift trigger: over a reference's whole life it alarms falsely at most alpha.

``views`` makes a fixed matrix from predictions, ``sketches`` counts it in mergeable cells,
``ranks`` and ``joint`` say how a window differs from all rows before it, ``evidence`` adds that up
over time, and ``stream`` cuts rows into windows and keeps the state. Only numpy is needed.

The test. If nothing drifts, reference and production rows are exchangeable, so given the unordered
pool of the reference and all windows up to now, which of its rows are the latest window is a
uniformly random choice. Statistics of ranks within the pool then have a known distribution and are
independent over time (sequential ranks: Parent 1965; conformal test martingales: Vovk, Gammerman &
Shafer, *Algorithmic Learning in a Random World*, ch. 8). The finite reference is part of the pool
and never taken as the truth, so its error makes no false alarms. E-processes on these statistics
(Vovk & Wang 2021; Ramdas, Grünwald, Vovk & Shafer 2023; Shafer et al. 2011) may be looked at
whenever one likes, by Ville's inequality.
"""
