"""The distances of `columns` once more by NumPy and SciPy, from the rows that it wrote: equal, and in what time."""

import sys
import time

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, kstwobign, wasserstein_distance

directory, printed = sys.argv[1:]
lines = [line.strip().split(",") for line in open(printed, encoding="utf-8")]
edges = np.array([float(edge) for edge in lines[0][1:]])
ours = [[float(value) for value in line[1:]] for line in lines if line[0] == "column"]
counted, exact = (float(value) for value in lines[-1][1:])


def counts(rows):
    # Upper edges are inclusive, the first bin has its lower edge too.
    slots = np.searchsorted(edges, rows, side="left")
    return np.bincount(np.maximum(slots, 1), minlength=len(edges) + 1)[1 : len(edges)].astype(float)


def psi(a, b):
    # As Remit: half a count in an empty bin.
    a, b = (np.where(x == 0, 0.5, x) / x.sum() for x in (a, b))
    return float(np.sum((a - b) * np.log(a / b)))


binned = whole = 0.0
for column, row in enumerate(ours):
    window, baseline = (np.fromfile(f"{directory}/{column}.{kind}", "<f8") for kind in ("window", "baseline"))
    begun = time.perf_counter()
    a, b = counts(window), counts(baseline)
    found = [psi(a, b), float(jensenshannon(a, b, 2))]
    binned += time.perf_counter() - begun
    begun = time.perf_counter()
    ks = ks_2samp(window, baseline, method="asymp")
    # The limit distribution, as Remit; that of ks_2samp is the one of a finite sample.
    p = float(kstwobign.sf(np.sqrt(len(window) * len(baseline) / (len(window) + len(baseline))) * ks.statistic))
    found += [ks.statistic, p, wasserstein_distance(window, baseline)]
    whole += time.perf_counter() - begun
    for name, mine, theirs in zip(("PSI", "Jensen-Shannon", "K-S", "p of K-S", "Wasserstein"), row, found):
        if abs(mine - theirs) > 1e-9 * max(abs(theirs), 1e-3):
            sys.exit(f"column {column}: {name} is {mine} here and {theirs} there")
    # What is counted in bins is no further from what all rows say than the bins are wide.
    if abs(row[5] - row[2]) > 0.02 or abs(row[6] - row[4]) > 0.01:
        sys.exit(f"column {column}: counted {row[5:]}, of all rows {row[2]}, {row[4]}")
print(f"equal; ours in bins {counted:.2f} s, of all rows {exact:.2f} s; NumPy in bins {binned:.2f} s, SciPy of all rows {whole:.2f} s")
print(f"all four: {(binned + whole) / counted:.1f} times as fast as they are kept; of all rows {whole / exact:.1f} times")
