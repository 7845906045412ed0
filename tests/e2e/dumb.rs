//! The dumb protocol: plain files for clients that know no other, sent by nginx, decided like everything else.

use std::fs;
use std::os::unix::fs::symlink;

use harness::git::text;
use harness::people::{OUTSIDER, READER, WRITER};
use harness::repositories::history;
use harness::{Git, Repository, Request, Response, Stack};

#[test]
fn a_dumb_clone_is_right_after_every_push_and_needs_no_server_info() {
    let stack = stack(&[]);
    for (name, format) in [("team/sha1.git", "sha1"), ("team/sha256.git", "sha256")] {
        let repository = stack.repositories().init(name, format).unwrap();
        repository.import(&history(3, &[])).unwrap();
        repository.git().ok(&["repack", "-adq"]).unwrap();
        // What `git update-server-info` writes, and would be wrong after the push.
        assert!(repository.path().join("info/refs").exists());
        let copy = dumb(&stack.git_as(READER));
        copy.ok(&["clone", "--quiet", &stack.url(name), format]).unwrap();
        let copy = copy.within(&stack.path().join("home").join(format));
        copy.ok(&["fsck", "--strict"]).unwrap();

        // Pushed by the smart protocol: loose objects this time, and a tag.
        let work = stack.git_as(WRITER).within(&stack.path().join("home").join(format));
        work.ok(&["commit", "--quiet", "--allow-empty", "-m", "more"]).unwrap();
        work.ok(&["tag", "-a", "-m", "annotated", "v1"]).unwrap();
        work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/main", "v1"]).unwrap();
        let pushed = work.ok(&["rev-parse", "HEAD"]).unwrap();
        let again = format!("{format}-again");
        dumb(&stack.git_as(READER)).ok(&["clone", "--quiet", &stack.url(name), &again]).unwrap();
        let again = stack.git().within(&stack.path().join("home").join(again));
        assert_eq!(again.ok(&["rev-parse", "HEAD", "v1^{commit}"]).unwrap(), format!("{pushed}\n{pushed}"));
        again.ok(&["fsck", "--strict"]).unwrap();
    }
    // Only the lists are made by git: every object came from nginx.
    let spawned = stack.spawned();
    let mut made = spawned.iter().filter_map(|line| line.strip_prefix("http-backend GET ")).peekable();
    assert!(made.peek().is_some());
    let lists = ["/info/refs ", "/HEAD ", "/objects/info/packs "];
    assert!(made.all(|target| lists.iter().any(|list| target.ends_with(list))), "{spawned:?}");
}

#[test]
fn a_front_that_has_no_files_lets_git_send_them() {
    let stack = stack(&[("gitward-git.conf", "proxy_set_header X-Gitward-Accel    yes;", "")]);
    let repository = seeded(&stack, "team/app.git");
    dumb(&stack.git_as(READER)).ok(&["clone", "--quiet", &stack.url("team/app.git"), "copy"]).unwrap();
    let copy = stack.git().within(&stack.path().join("home/copy"));
    assert_eq!(copy.ok(&["rev-parse", "HEAD"]).unwrap(), repository.resolve("refs/heads/main").unwrap());
    let (_, pack) = files(&repository);
    let answer = get(&stack, &pack, READER.name, READER.password);
    assert_eq!(answer.header("Cache-Control"), Some("private, max-age=31536000, immutable"));
    assert_eq!(answer.body, fs::read(repository.path().join(file_of(&pack))).unwrap());
}

#[test]
fn files_have_ranges_and_dates_and_are_kept_by_those_who_may_read_them() {
    let stack = stack(&[]);
    let repository = seeded(&stack, "public/app.git");
    let (loose, pack) = files(&repository);
    for (target, kind) in
        [(&loose, "application/x-git-loose-object"), (&pack, "application/x-git-packed-objects")]
    {
        let content = fs::read(repository.path().join(file_of(target))).unwrap();
        let whole = stack.http(&Request::get(target)).unwrap();
        assert_eq!((whole.status, &whole.body), (200, &content));
        assert_eq!(whole.header("Content-Type"), Some(kind));
        assert_eq!(whole.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
        assert!(whole.header("X-Accel-Redirect").is_none() && whole.header("Expires").is_some());
        let part = stack.http(&Request::get(target).header("Range", "bytes=4-9")).unwrap();
        assert_eq!((part.status, &part.body[..]), (206, &content[4..10]));
        let date = whole.header("Last-Modified").unwrap();
        let unchanged = stack.http(&Request::get(target).header("If-Modified-Since", date)).unwrap();
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
        // A cache on the way must not give to others what a login was sent for.
        let with_login = get(&stack, target, READER.name, READER.password);
        assert_eq!(with_login.header("Cache-Control"), Some("private, max-age=31536000, immutable"));
    }
    for made in ["info/refs", "objects/info/packs"] {
        let answer = stack.http(&Request::get(&format!("/git/public/app.git/{made}"))).unwrap();
        assert_eq!(answer.status, 200, "{made}");
        assert!(answer.header("Cache-Control").unwrap().contains("no-cache"), "{made}");
    }
    let missing = format!("/git/public/app.git/objects/00/{}", "0".repeat(38));
    let missing = stack.http(&Request::get(&missing)).unwrap();
    assert_eq!((missing.status, missing.header("Cache-Control")), (404, Some("no-cache")));
}

#[test]
fn files_are_decided_like_everything_else() {
    let stack = stack(&[]);
    let repository = seeded(&stack, "team/app.git");
    let (loose, pack) = files(&repository);
    let absent = format!("/git/team/no.git/{}", file_of(&loose));
    for target in ["/git/team/app.git/info/refs", "/git/team/app.git/HEAD", &loose, &pack, &absent] {
        assert_eq!(stack.http(&Request::get(target)).unwrap().status, 401, "{target}");
        assert_eq!(get(&stack, target, OUTSIDER.name, OUTSIDER.password).status, 403, "{target}");
        assert_eq!(get(&stack, target, READER.name, "wrong").status, 401, "{target}");
    }
    assert_eq!(get(&stack, &absent, READER.name, READER.password).status, 403);
    let refused = dumb(&stack.git_as(OUTSIDER)).run(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    assert!(text(&refused.stderr).contains("There is no such repository"), "{refused:?}");
    // Nobody reaches the location of the files but nginx itself.
    for target in
        ["/.gitward/git/team/app.git/HEAD", "/.gitward/git/", "/git/../.gitward/git/team/app.git/HEAD"]
    {
        assert!([404, 400].contains(&get(&stack, target, WRITER.name, WRITER.password).status), "{target}");
    }
}

#[test]
fn a_repository_can_keep_its_files_to_itself() {
    let stack = stack(&[]);
    let repository = seeded(&stack, "team/app.git");
    repository.git().ok(&["config", "http.getanyfile", "false"]).unwrap();
    let (loose, pack) = files(&repository);
    let refs = "/git/team/app.git/info/refs".to_owned();
    let absent = get(&stack, "/git/team/no.git/HEAD", READER.name, READER.password);
    for target in [&refs, &loose, &pack] {
        let answer = get(&stack, target, READER.name, READER.password);
        assert_eq!(answer.comparable(), absent.comparable(), "{target}");
    }
    stack.git_as(READER).ok(&["ls-remote", &stack.url("team/app.git")]).unwrap();
}

#[test]
fn nothing_but_the_repositorys_own_objects_is_sent() {
    let stack = stack(&[]);
    let repository = seeded(&stack, "team/app.git");
    let other = seeded(&stack, "secret/other.git");
    let (secret, _) = files(&other);
    let objects = repository.path().join("objects");
    let info = objects.join("info");
    fs::create_dir_all(&info).unwrap();
    for list in ["alternates", "http-alternates"] {
        fs::write(info.join(list), format!("{}\n", other.path().join("objects").display())).unwrap();
    }
    let secret = file_of(&secret);
    let hash = secret.trim_start_matches("objects/").replace('/', "");
    let status =
        |file: &str| get(&stack, &format!("/git/team/app.git/{file}"), READER.name, READER.password).status;
    for list in ["objects/info/alternates", "objects/info/http-alternates", "config", "packed-refs"] {
        assert_eq!(status(list), 403, "{list}");
    }
    // Borrowed objects are in no file of this repository.
    assert_eq!(status(&secret), 404);
    let directory = objects.join(&hash[..2]);
    if !directory.exists() {
        symlink(other.path().join("objects").join(&hash[..2]), &directory).unwrap();
        assert_eq!(status(&secret), 404);
        fs::remove_file(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    symlink(other.path().join(&secret), directory.join(&hash[2..])).unwrap();
    assert_eq!(status(&secret), 404);
    // A whole repository that is a link is none, as for every service.
    symlink(other.path(), stack.repositories().root().join("team/link.git")).unwrap();
    let link = get(&stack, &format!("/git/team/link.git/{secret}"), READER.name, READER.password);
    assert_eq!(link.status, 403);
}

#[test]
fn every_file_leaves_a_record() {
    let stack = stack(&[]);
    let repository = seeded(&stack, "team/app.git");
    let (loose, _) = files(&repository);
    let length = fs::metadata(repository.path().join(file_of(&loose))).unwrap().len();
    get(&stack, &loose, READER.name, READER.password);
    let record = format!("\"user\":\"{}\"", READER.name);
    harness::until_true("the audit record", std::time::Duration::from_secs(10), || {
        stack.read("log/audit.jsonl").contains(&record)
    })
    .unwrap();
    let audit = stack.read("log/audit.jsonl");
    assert!(audit.contains("\"service\":\"dumb\",\"outcome\":\"ok\""), "{audit}");
    assert!(audit.contains(&format!("\"bytes_out\":{length}")), "{audit}");
}

/// With the dumb protocol on and every start of git noted.
fn stack(nginx: &[(&str, &str, &str)]) -> Stack {
    let builder =
        Stack::builder().counting_spawns().edit("backend-runner.yaml", "dumb_http: false", "dumb_http: true");
    nginx
        .iter()
        .fold(builder, |builder, (file, from, to)| builder.edit_nginx(file, from, to))
        .start()
        .unwrap()
}

/// A repository with a pack and loose objects.
fn seeded(stack: &Stack, name: &str) -> Repository {
    let repository = stack.repositories().seeded(name, 3, &[]).unwrap();
    repository.git().ok(&["repack", "-adq"]).unwrap();
    let content = format!("only in {name}\n");
    repository.git().fed(&["hash-object", "-w", "--stdin"], content.as_bytes()).unwrap();
    repository
}

/// The targets of a loose object and of a pack.
fn files(repository: &Repository) -> (String, String) {
    let root = repository.path().ancestors().find(|path| path.ends_with("git")).unwrap();
    let name = repository.path().strip_prefix(root).unwrap().display().to_string();
    let list = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(repository.path().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let directory = list("objects").into_iter().find(|name| name.len() == 2).unwrap();
    let loose = list(&format!("objects/{directory}")).remove(0);
    let pack = list("objects/pack").into_iter().find(|name| name.ends_with(".pack")).unwrap();
    (format!("/git/{name}/objects/{directory}/{loose}"), format!("/git/{name}/objects/pack/{pack}"))
}

/// Where the file of a target is in its repository.
fn file_of(target: &str) -> String {
    target.split_once(".git/").unwrap().1.to_owned()
}

fn get(stack: &Stack, target: &str, user: &str, password: &str) -> Response {
    stack.http(&Request::get(target).basic(user, password)).unwrap()
}

fn dumb(git: &Git) -> Git {
    git.variable("GIT_SMART_HTTP", "0")
}
