"""What errors say about a name that is unknown."""

from collections.abc import Iterable
from difflib import get_close_matches


def known_names(name: str, names: Iterable[str]) -> str:
    """List the names that are known, the one that was probably meant first.

    Parameters
    ----------
    name : str
        The name that is unknown.
    names : iterable of str

    Returns
    -------
    text : str
        To go behind what was got, ``; did you mean ...? Known are ...``.

    Examples
    --------
    >>> from sklearn_looped.core.names import known_names
    >>> "Got opcode 'sublec'" + known_names("sublec", ["subleq", "add"])
    "Got opcode 'sublec'; did you mean 'subleq'? Known are subleq, add."
    """
    names = list(names)
    listed = f"nown are {', '.join(names) or 'none'}."
    meant = get_close_matches(name, names, 1)
    return f"; did you mean {meant[0]!r}? K{listed}" if meant else f"; k{listed}"
