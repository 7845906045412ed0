"""One operation with libgit2, as a program built on it would do it: with_libgit2.py OPERATION URL DIRECTORY USER PASSWORD."""

import sys

import pygit2

operation, url, directory, user, password = sys.argv[1:]


class Callbacks(pygit2.RemoteCallbacks):
    def sideband_progress(self, text):
        sys.stderr.write(text)

    def push_update_reference(self, name, message):
        if message:
            sys.exit(f"{name}: {message}")


callbacks = Callbacks(credentials=pygit2.UserPass(user, password))
try:
    if operation == "clone":
        pygit2.clone_repository(url, directory, callbacks=callbacks)
    elif operation == "shallow":
        pygit2.clone_repository(url, directory, callbacks=callbacks, depth=1)
    elif operation == "fetch":
        pygit2.Repository(directory).remotes["origin"].fetch(callbacks=callbacks)
    else:
        pygit2.Repository(directory).remotes["origin"].push([f"refs/heads/{operation}"], callbacks=callbacks)
except pygit2.GitError as error:
    sys.exit(f"GitError: {error}")
