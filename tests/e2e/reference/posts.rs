//! The requests with a body: what is in it, how it is framed and coded, and what it is called.

use super::bodies::{self, Ids};
use super::shapes::{Kind, PROTOCOLS, READ, REPOSITORIES, Shape, WRITE};

pub(super) fn fetches(ids: &Ids) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for protocol in PROTOCOLS {
        for body in bodies::fetches(ids) {
            for chunked in [false, true] {
                let shape = Shape::post(Kind::Fetch, "full.git", READ, &body).protocol(protocol);
                shapes.push(Shape { chunked, ..shape });
            }
        }
    }
    for repository in REPOSITORIES {
        for body in &bodies::fetches(ids)[..3] {
            shapes.push(Shape::post(Kind::Fetch, repository, READ, body).protocol(Some("version=2")));
        }
    }
    let large = vec![b'0'; 11 << 20];
    shapes.push(Shape::post(Kind::Size, "full.git", READ, &large));
    shapes.push(Shape { chunked: true, ..Shape::post(Kind::Size, "full.git", READ, &large) });
    shapes
}

pub(super) fn pushes(ids: &Ids) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for protocol in PROTOCOLS {
        for body in bodies::pushes(ids) {
            let shape = Shape::post(Kind::Push, "full.git", WRITE, &body).protocol(protocol);
            shapes.push(Shape { chunked: shapes.len() % 2 == 1, ..shape });
        }
    }
    for repository in REPOSITORIES {
        for body in &bodies::pushes(ids)[..3] {
            shapes.push(Shape::post(Kind::Push, repository, WRITE, body));
        }
    }
    shapes
}

pub(super) fn encodings(ids: &Ids) -> Vec<Shape> {
    let codings: [&[&str]; 9] = [
        &["gzip"],
        &["x-gzip"],
        &["deflate"],
        &["GZIP"],
        &["identity"],
        &["gzip, gzip"],
        &["gzip", "gzip"],
        &["br"],
        &[""],
    ];
    let (fetch, push) = (&bodies::fetches(ids)[0], &bodies::pushes(ids)[0]);
    let mut shapes = Vec::new();
    for coding in codings {
        for (service, plain) in [(READ, fetch), (WRITE, push)] {
            let packed = bodies::gzip(plain);
            let cut = packed[..packed.len() - 9].to_vec();
            let doubled = [&packed[..], b"garbage"].concat();
            for (number, body) in
                [packed.clone(), plain.clone(), cut, doubled, vec![]].into_iter().enumerate()
            {
                let mut shape = Shape::post(Kind::Encoding, "full.git", service, &body);
                shape.chunked = number % 2 == 1;
                let shape = coding.iter().fold(shape, |shape, coding| shape.with("Content-Encoding", coding));
                shapes.push(shape.protocol((service == READ).then_some("version=2")));
            }
        }
    }
    shapes
}

pub(super) fn content_types(ids: &Ids) -> Vec<Shape> {
    let types: [&[&str]; 9] = [
        &[],
        &[""],
        &["text/plain"],
        &["application/x-www-form-urlencoded"],
        &["application/x-git-upload-pack-request; charset=utf-8"],
        &["Application/X-Git-Upload-Pack-Request"],
        &["application/x-git-upload-pack-result"],
        &["application/x-git-receive-pack-request"],
        &["application/x-git-upload-pack-request", "text/plain"],
    ];
    let mut shapes = Vec::new();
    for types in types {
        for service in [READ, WRITE] {
            let body = if service == READ { &bodies::fetches(ids)[0] } else { &bodies::pushes(ids)[0] };
            let post = Shape::post(Kind::ContentType, "full.git", service, body);
            let bare = Shape { headers: vec![], ..post };
            shapes.push(types.iter().fold(bare, |shape, value| shape.with("Content-Type", value)));
        }
    }
    shapes
}
