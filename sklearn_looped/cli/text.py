"""Escape text of users before it is written to a terminal."""


def printable(text: str) -> str:
    r"""Escape characters that are not printable, such as control codes and text direction marks.

    Parameters
    ----------
    text : str

    Returns
    -------
    escaped : str
        Safe to write to a terminal, on one line.

    Examples
    --------
    >>> from sklearn_looped.cli.text import printable
    >>> print(printable("red: \x1b[31m, new line: \n, turned: \u202e, plain: é"))
    red: \x1b[31m, new line: \n, turned: \u202e, plain: é
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
