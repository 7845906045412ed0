//! The dumb protocol: objects, packs and indexes are files as they lie in the repository, and nginx sends them itself.
//!
//! See the `http-protocol` manual page of git, and `X-Accel-Redirect` in that of nginx. Which file it is stands in the signed
//! decision, whose grammar knows no other files; `info/refs`, `HEAD` and `objects/info/packs` are made by git at the
//! moment they are asked for, so a repository needs no `git update-server-info`. Every component below the repository is
//! opened in turn and no link is followed, whoever sends the file in the end.

use std::io;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, HttpDate};
use actix_web::{HttpRequest, HttpResponse};
use policy::decision::{Decision, Permitted};
use policy::git_request::Service;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use tokio::time::Instant;

use super::front::Front;
use super::served::{By, Served};
use crate::cgi::response::Head;
use crate::repository::Repository;
use crate::runner::Runner;

/// A file of the repository that never changes under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredFile {
    /// Below the project root.
    path: String,
    length: u64,
    content_type: &'static str,
}

/// Why a file is not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("it is not there")]
    Missing,
    #[error("it is a link or no file")]
    NotPlain,
    #[error("the file system does not give it")]
    Unreadable(#[source] io::Error),
}

impl StoredFile {
    /// The file the decision is about; `None` when that is another service, or something git has to make.
    pub(super) fn find(repository: &Repository, decision: &Decision) -> Result<Option<Self>, FileError> {
        let path = decision.path_info.trim_start_matches('/');
        let below = path.strip_prefix(decision.repo.as_str()).unwrap_or_default();
        let Some(content_type) = content_type(below).filter(|_| decision.service == Service::Dumb) else {
            return Ok(None);
        };
        let length = length(repository, below.trim_start_matches('/'))?;
        Ok(Some(Self { path: path.to_owned(), length, content_type }))
    }

    /// Lets nginx send it, and accounts for it as if all of it was sent.
    pub(super) fn hand_over(&self, decision: &Decision, runner: &Runner, started: Instant) -> HttpResponse {
        let mut served = Served::of(Permitted::Repository(decision.clone()), runner, By::Nginx, started);
        served.add(self.length);
        served.finish("ok");
        let mut response = HttpResponse::Ok();
        response.insert_header((CONTENT_TYPE, self.content_type));
        response.insert_header((CACHE_CONTROL, how_long(decision)));
        response.insert_header((EXPIRES, HttpDate::from(SystemTime::now() + YEAR)));
        response.insert_header((REDIRECT, format!("{LOCATION}{}", self.path)));
        response.finish()
    }
}

/// The location in nginx/gitward-server.conf that stands for the project root.
const LOCATION: &str = "/.gitward/git/";

const REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

const YEAR: Duration = Duration::from_secs(31_536_000);

/// Whether the front server says that it has the files, and may read them. To who says so without being nginx it only means
/// an empty answer.
pub(super) fn is_for_nginx(request: &HttpRequest) -> bool {
    let says_so = request.headers().get("x-gitward-accel").is_some_and(|value| value == "yes");
    says_so && request.conn_data::<Front>().is_none_or(|front| front.may_read())
}

/// git's answer, with the word `public` taken out where a login was needed: with it, a cache on the way could give to everybody
/// what one user may read.
pub(super) fn kept_by_the_caller_only(mut head: Head, decision: &Decision) -> Head {
    for (name, value) in &mut head.headers {
        if *name == CACHE_CONTROL && value.as_bytes().starts_with(b"public") {
            *value = HeaderValue::from_static(how_long(decision));
        }
    }
    head
}

fn how_long(decision: &Decision) -> &'static str {
    match decision.user {
        None => "public, max-age=31536000, immutable",
        Some(_) => "private, max-age=31536000, immutable",
    }
}

/// What http-backend calls the file; `None` for those that it makes.
fn content_type(below: &str) -> Option<&'static str> {
    let object = below.strip_prefix("/objects/").filter(|object| !object.starts_with("info/"))?;
    match object.strip_prefix("pack/") {
        None => Some("application/x-git-loose-object"),
        Some(pack) if pack.ends_with(".pack") => Some("application/x-git-packed-objects"),
        Some(_) => Some("application/x-git-packed-objects-toc"),
    }
}

fn length(repository: &Repository, file: &str) -> Result<u64, FileError> {
    let mut directory = openat(CWD, &repository.path, DIRECTORY, Mode::empty()).map_err(of_component)?;
    let (parents, name) = file.rsplit_once('/').ok_or(FileError::Missing)?;
    for parent in parents.split('/') {
        directory = openat(&directory, parent, DIRECTORY, Mode::empty()).map_err(of_component)?;
    }
    let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(of_component)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(u64::try_from(found.st_size).unwrap_or_default()),
        _ => Err(FileError::NotPlain),
    }
}

const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn of_component(error: Errno) -> FileError {
    match error {
        Errno::NOENT => FileError::Missing,
        Errno::NOTDIR | Errno::LOOP => FileError::NotPlain,
        error => FileError::Unreadable(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use policy::git_request::{GitRequest, Mount};

    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn find(root: &std::path::Path, endpoint: &str) -> Result<Option<StoredFile>, FileError> {
        let target = format!("/t/a.git{endpoint}");
        let request = GitRequest::parse(&Mount::root(), "GET", target.as_bytes()).unwrap();
        let decision = Decision::permitting(&request, "id".to_owned(), 0);
        StoredFile::find(&Repository { path: root.join("t/a.git") }, &decision)
    }

    #[test]
    fn a_stored_file_is_found_by_what_the_decision_says() {
        let root = tempfile::tempdir().unwrap();
        let objects = root.path().join("t/a.git/objects");
        fs::create_dir_all(objects.join("pack")).unwrap();
        fs::create_dir_all(objects.join(&HASH[..2])).unwrap();
        fs::write(objects.join(&HASH[..2]).join(&HASH[2..]), "loose").unwrap();
        let pack = format!("pack/pack-{HASH}");
        for (end, content) in [("pack", "packed"), ("idx", "index")] {
            fs::write(objects.join(format!("{pack}.{end}")), content).unwrap();
        }
        for (endpoint, length, kind) in [
            (format!("/objects/{}/{}", &HASH[..2], &HASH[2..]), 5, "application/x-git-loose-object"),
            (format!("/objects/{pack}.pack"), 6, "application/x-git-packed-objects"),
            (format!("/objects/{pack}.idx"), 5, "application/x-git-packed-objects-toc"),
        ] {
            let file = find(root.path(), &endpoint).unwrap().unwrap();
            assert_eq!((file.length, file.content_type), (length, kind));
            assert_eq!(file.path, format!("t/a.git{endpoint}"));
        }
        for endpoint in ["/info/refs", "/HEAD", "/objects/info/packs", "/info/refs?service=git-upload-pack"] {
            assert_eq!(find(root.path(), endpoint).unwrap(), None, "{endpoint}");
        }
    }

    #[test]
    fn no_link_on_the_way_to_a_file_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let (objects, elsewhere) = (root.path().join("t/a.git/objects"), root.path().join("elsewhere"));
        fs::create_dir_all(&elsewhere).unwrap();
        fs::create_dir_all(&objects).unwrap();
        fs::write(elsewhere.join(&HASH[2..]), "secret").unwrap();
        let endpoint = |hash: &str| format!("/objects/{}/{}", &hash[..2], &hash[2..]);
        assert!(matches!(find(root.path(), &endpoint(HASH)), Err(FileError::Missing)));
        symlink(&elsewhere, objects.join(&HASH[..2])).unwrap();
        assert!(matches!(find(root.path(), &endpoint(HASH)), Err(FileError::NotPlain)));
        let other = HASH.replace("01", "ff");
        fs::create_dir(objects.join("ff")).unwrap();
        symlink(elsewhere.join(&HASH[2..]), objects.join("ff").join(&other[2..])).unwrap();
        assert!(matches!(find(root.path(), &endpoint(&other)), Err(FileError::NotPlain)));
    }
}
