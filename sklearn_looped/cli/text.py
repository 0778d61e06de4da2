"""Text of users: what a terminal may be shown, and which characters no program has."""


def printable(text: str) -> str:
    r"""Escape what is not printed as a character: control codes, and what turns or hides text.

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
