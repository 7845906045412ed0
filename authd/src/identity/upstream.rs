//! Users whom a front server has authenticated itself: whether it may say so, and which groups they are in.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use policy::identity::User;

use super::accounts::Accounts;
use super::ldap::{Ldap, Member};
use super::login::{LoginError, Logins};
use super::{Directories, Directory, IdentifyError, Source};
use crate::network::{Network, Peer};
use crate::request::{AuthRequest, Vouched};

/// A front server that has authenticated the user.
#[derive(Debug)]
pub struct Upstream {
    /// Where it names the user.
    pub header: HeaderName,
    /// The place in the list of the directory that knows the user's groups.
    pub groups_from: usize,
    /// TCP peers that are trusted.
    pub addresses: Vec<Network>,
}

impl Directories {
    /// The user a front server vouches for. Once it names one, passwords do not count any more.
    pub(super) async fn vouched(
        &self,
        logins: &Arc<Logins>,
        request: &AuthRequest<'_>,
    ) -> Result<Option<Arc<User>>, IdentifyError> {
        for upstream in self.list.iter().filter_map(Directory::upstream) {
            let name = match request.vouched_in(&upstream.header) {
                Vouched::Nobody => continue,
                _ if !upstream.trusts(request.peer) => return Err(IdentifyError::UntrustedPeer),
                Vouched::Unreadable => return Err(IdentifyError::UnknownToGroups),
                Vouched::For(name) => name,
            };
            let groups_from = self.list.get(upstream.groups_from).map(|directory| &directory.source);
            let user = match groups_from {
                Some(Source::File(accounts)) => known_to_file(accounts, name),
                Some(Source::Ldap(ldap)) => known_to_ldap(logins, ldap, name).await?,
                Some(Source::Upstream(_)) | None => None,
            };
            return user.map(Some).ok_or(IdentifyError::UnknownToGroups);
        }
        Ok(None)
    }
}

fn known_to_file(accounts: &Accounts, name: &str) -> Option<Arc<User>> {
    accounts.find(name)?.user()
}

async fn known_to_ldap(
    logins: &Arc<Logins>,
    ldap: &Arc<Ldap>,
    name: &str,
) -> Result<Option<Arc<User>>, IdentifyError> {
    let Some(name) = ldap.fold(name) else { return Ok(None) };
    match logins.member(ldap, &name, ldap.deadline()).await.map_err(LoginError::from)? {
        Member::User(user) => Ok(Some(user)),
        Member::Nobody => Ok(None),
    }
}

impl Upstream {
    /// The Unix socket's file permissions say who may connect; TCP peers must be listed.
    fn trusts(&self, peer: Peer) -> bool {
        let listed = |address: IpAddr| self.addresses.iter().any(|network| network.contains(address));
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => listed(address),
            Peer::Unknown => false,
        }
    }
}
