//! The users most scenarios share. Their hashes are as cheap as bcrypt allows, so that tests stay fast.

/// May read what the policies of the scenarios let readers read.
pub const READER: Person = Person { name: "reader", password: "reader-password" };
/// May also write.
pub const WRITER: Person = Person { name: "writer", password: "writer-password" };
/// Known, without any right.
pub const OUTSIDER: Person = Person { name: "outsider", password: "outsider-password" };

/// `users.yaml` with the three of them.
pub const USERS: &str = r#"version: 1
users:
  reader:   { password: "$2y$04$Am3vW5YIvoqvslV5n68bgujOGfWYjcGBBaKVHFiLM.X17si3mz.1i", groups: [readers] }
  writer:   { password: "$2y$04$oXRgAFhG1dUCvyYmXnnuTuIVap1ydwxzAxjA6Opt.ACyzqVYfRQum", groups: [writers, staff], info: { name: Wendy Writer, email: writer@example.org } }
  outsider: { password: "$2y$04$DMMF5uQ4I7s/TLBoxzDOaeTZcvC/6W9ikR2CxPiw7zwlUonFW32Yy" }
"#;

/// `policy.yaml` with a private and an anonymously readable tree.
pub const POLICY: &str = r#"version: 1
access:
  "/":       { read: ["@readers"], write: ["@writers"] }
  "public/": { read: [anonymous] }
"#;

/// A user name and the password that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The user name.
    pub name: &'static str,
    /// The right password.
    pub password: &'static str,
}
