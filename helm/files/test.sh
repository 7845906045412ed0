# What `helm test` does: asks the way a stranger and, if one was named, a user would. Refusals are awaited by their
# words, so that a service that is merely down does not pass for one that refuses.
set -eu
export HOME=/tmp GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1
cd /tmp

say() { printf '%s\n' "$*"; }

fail() {
    say "FAILED: $*"
    exit 1
}

refused() { # words, then the command that must fail saying them
    words=$1
    shift
    if answer=$("$@" 2>&1); then fail "not refused: $*"; fi
    case $answer in
        *"$words"*) say "ok: refused: $words" ;;
        *) fail "refused in other words than '$words': $answer" ;;
    esac
}

stranger() { git -c http.sslVerify=false "$@"; }

guesser() { # nobody's name, so that no account collects a failure
    git -c http.sslVerify=false -c credential.helper='!f() { echo username=helm-test-nobody; echo password=wrong; }; f' "$@"
}

# The certificate is for the name that clients use, which is not the Service's.
member() {
    git -c http.sslVerify=false -c user.name=helm-test -c user.email=helm-test@localhost \
        -c credential.helper='!f() { echo "username=$GITWARD_USER"; echo "password=$(cat /etc/gitward-test/password)"; }; f' "$@"
}

# A push, because strangers may be allowed to read.
git init --quiet empty
cd empty
member commit --quiet --allow-empty --message "helm test"
refused "could not read Username" stranger push --quiet "$GITWARD_URL/helm-test/nowhere.git" HEAD:refs/heads/main
cd ..
refused "Authentication failed" guesser ls-remote "$GITWARD_URL/helm-test/nowhere.git"
[ -n "$GITWARD_USER" ] || { say "ok: no tests.user, so nothing was cloned or pushed"; exit 0; }

refused "403" member ls-remote "$GITWARD_URL/helm-test/nowhere.git"
[ -z "$GITWARD_FORBIDDEN" ] || refused "403" member ls-remote "$GITWARD_URL/$GITWARD_FORBIDDEN"

branch=refs/heads/helm-test/$GITWARD_BRANCH
member clone --quiet "$GITWARD_URL/$GITWARD_REPOSITORY" work || fail "clone"
cd work
member commit --quiet --allow-empty --message "helm test" || fail "commit"
refused "could not read Username" stranger push --quiet origin "HEAD:$branch"
member push --quiet origin "HEAD:$branch" || fail "push"
[ "$(member ls-remote origin "$branch" | cut -f1)" = "$(git rev-parse HEAD)" ] || fail "the branch is not there after the push"
say "ok: cloned and pushed $GITWARD_REPOSITORY"
member push --quiet origin ":$branch" || say "the branch $branch stays: its rules do not let it be deleted"
