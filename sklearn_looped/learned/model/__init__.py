"""The looped network: blocks, read-in, loop and readout."""
