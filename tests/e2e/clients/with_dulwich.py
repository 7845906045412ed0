"""One operation with dulwich, as a program built on it would do it: with_dulwich.py OPERATION URL DIRECTORY USER PASSWORD."""

import sys

from dulwich import porcelain

operation, url, directory, user, password = sys.argv[1:]
login = {"username": user, "password": password}
try:
    if operation == "clone":
        porcelain.clone(url, directory, **login)
    elif operation == "shallow":
        porcelain.clone(url, directory, depth=1, **login)
    elif operation == "fetch":
        porcelain.fetch(directory, "origin", **login)
    else:
        result = porcelain.push(directory, url, f"refs/heads/{operation}", **login)
        status = None if result is None else result.ref_status
        refused = {name: why for name, why in (status or {}).items() if why}
        if refused:
            sys.exit(f"refused: {refused}")
except Exception as error:  # Whatever it is, a user sees its name and its text.
    sys.exit(f"{type(error).__name__}: {error}")
