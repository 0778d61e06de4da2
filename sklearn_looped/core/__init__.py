"""The one idea both halves share, the loop, and the choice of device. Needs torch only."""
