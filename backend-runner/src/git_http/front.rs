//! Whether the front server at the other end of a connection could read files of ours, if it were told to send them.
//!
//! A front that says it has the files may still be another user than this daemon, and then every answer it shall send itself
//! would be an error. On a Unix socket the system knows who it is: see unix(7), `SO_PEERCRED`, and proc_pid_status(5).

use std::fs;
use std::os::fd::AsFd;

use rustix::net::UCred;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{getegid, geteuid};

/// The process at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    may_read: bool,
}

impl Front {
    /// Who has connected; `None` when the system does not say.
    pub fn of(socket: impl AsFd) -> Option<Self> {
        let peer = socket_peercred(socket).ok()?;
        let status = fs::read_to_string(format!("/proc/{}/status", peer.pid.as_raw_nonzero()));
        let own = (geteuid().as_raw(), getegid().as_raw());
        Some(Self { may_read: may_read(&peer, &status.unwrap_or_default(), own) })
    }

    /// Whether it could read what only this daemon's user and group may read.
    pub(super) fn may_read(self) -> bool {
        self.may_read
    }
}

/// Files of this daemon are for its user and its group.
fn may_read(peer: &UCred, status: &str, (user, group): (u32, u32)) -> bool {
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    let mut groups = groups.split_ascii_whitespace().filter_map(|group| group.parse().ok());
    let uid = peer.uid.as_raw();
    uid == 0 || uid == user || peer.gid.as_raw() == group || groups.any(|member: u32| member == group)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Gid, Uid, getpid};

    use super::*;

    #[test]
    fn a_front_of_another_user_may_read_only_as_a_member_of_the_group() {
        let peer = |uid, gid| UCred { pid: getpid(), uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) };
        let own = (990, 991);
        assert!(may_read(&peer(990, 33), "", own), "the same user");
        assert!(may_read(&peer(0, 33), "", own), "root");
        assert!(may_read(&peer(33, 991), "", own), "the same group");
        assert!(may_read(&peer(33, 33), "Name:\tnginx\nGroups:\t4 991 \n", own), "a member");
        assert!(!may_read(&peer(33, 33), "Name:\tnginx\nGroups:\t4 9911 \n", own), "a stranger");
        assert!(!may_read(&peer(33, 33), "", own));
    }

    #[test]
    fn this_process_may_read_its_own_files() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Front::of(&one).unwrap().may_read());
    }
}
