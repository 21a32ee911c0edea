"""Splitting steepest descent: which units to split, into how many copies, in which directions."""

from netsculpt.methods.splitting.patterns import Pattern, patterns
from netsculpt.methods.splitting.plan import split
from netsculpt.methods.splitting.rayleigh import rayleigh
from netsculpt.methods.splitting.spectra import Spectrum, spectra

__all__ = ["Pattern", "Spectrum", "patterns", "rayleigh", "spectra", "split"]
