//! Git's wire format as far as raw requests need it, see gitprotocol-common(5) and gitprotocol-http(5).

/// `git-upload-pack` request content type.
pub const UPLOAD_PACK: &str = "application/x-git-upload-pack-request";
/// `git-receive-pack` request content type.
pub const RECEIVE_PACK: &str = "application/x-git-receive-pack-request";
/// The flush packet.
pub const FLUSH: &str = "0000";
/// The object id of nothing.
pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// One pkt-line with `payload`.
pub fn line(payload: &str) -> String {
    format!("{:04x}{payload}", payload.len() + 4)
}

/// A version 0 request for everything that `commit` reaches.
pub fn want(commit: &str) -> Vec<u8> {
    format!("{}{FLUSH}{}", line(&format!("want {commit} ofs-delta\n")), line("done\n")).into_bytes()
}

/// A push of one ref update without its pack: complete for a deletion or an existing object.
pub fn update(old: &str, new: &str, name: &str) -> Vec<u8> {
    format!("{}{FLUSH}", line(&format!("{old} {new} {name}\0report-status"))).into_bytes()
}

/// A pack without any object, see gitformat-pack(5).
pub const EMPTY_PACK: &[u8] = b"PACK\x00\x00\x00\x02\x00\x00\x00\x00\
\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

/// The request target of a ref advertisement.
pub fn advertisement(repository: &str, service: &str) -> String {
    format!("/git/{repository}/info/refs?service={service}")
}
