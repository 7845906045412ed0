//! The front servers that can ask, and where each of them says what it asks about.
//!
//! Each kind has an endpoint of its own and is believed there in its own headers alone. Any other header may be the client's,
//! because some front servers pass on all of them: whoever read one dialect's header at another's endpoint would let
//! clients choose what they are allowed. Which endpoints answer is said by `endpoints:` in the configuration.

/// A kind of front server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx with the configuration in `nginx/`, or one like it.
    Nginx,
    /// ingress-nginx with its annotation `auth-url`.
    IngressNginx,
    /// NGINX Gateway Fabric with the filter `ExternalAuth` of the Gateway API.
    GatewayFabric,
    /// Traefik's `forwardAuth` and Caddy's `forward_auth`.
    Forward,
    /// Envoy's `ext_authz` over HTTP, and what is made of Envoy.
    Envoy,
}

/// Where a dialect puts the client's method and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// In two headers: method and target.
    Headers(&'static str, &'static str),
    /// In two headers: method and the whole URL, with scheme and host.
    Url(&'static str, &'static str),
    /// In the request line itself; the target comes after this prefix.
    RequestLine(&'static str),
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Nginx, Self::IngressNginx, Self::GatewayFabric, Self::Forward, Self::Envoy];

    /// Its name in `endpoints:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::IngressNginx => "ingress-nginx",
            Self::GatewayFabric => "gateway-fabric",
            Self::Forward => "forward",
            Self::Envoy => "envoy",
        }
    }

    /// Its endpoint, as a pattern of actix's.
    pub fn path(self) -> &'static str {
        match self {
            Self::Nginx => "/auth/nginx",
            Self::IngressNginx => "/auth/ingress-nginx",
            Self::GatewayFabric => "/auth/gateway-fabric",
            Self::Forward => "/auth/forward",
            Self::Envoy => "/auth/envoy/{target:.*}",
        }
    }

    /// Where the client's request stands. None of these is optional.
    pub fn original(self) -> Original {
        match self {
            Self::Nginx => Original::Headers("x-original-method", "x-original-uri"),
            Self::IngressNginx => Original::Url("x-original-method", "x-original-url"),
            Self::GatewayFabric => Original::Headers("method", "path"),
            Self::Forward => Original::Headers("x-forwarded-method", "x-forwarded-uri"),
            Self::Envoy => Original::RequestLine("/auth/envoy"),
        }
    }

    /// Where it says whose address it sees. Gateway Fabric passes on what it is told to as the client sent it, and adds nothing.
    pub fn client(self) -> Option<&'static str> {
        match self {
            Self::Nginx | Self::IngressNginx => Some("x-real-ip"),
            Self::Forward | Self::Envoy => Some("x-forwarded-for"),
            Self::GatewayFabric => None,
        }
    }

    /// Where it says which of its servers the request came to. The name must be its own, not the client's `Host`.
    pub fn host(self) -> Option<&'static str> {
        (self == Self::Nginx).then_some("x-original-host")
    }

    /// Where it says how it calls the request in its own log.
    pub fn request_id(self) -> Option<&'static str> {
        match self {
            Self::Nginx | Self::IngressNginx | Self::Envoy => Some("x-request-id"),
            Self::GatewayFabric | Self::Forward => None,
        }
    }

    /// Whether no header of the client gets here unless the front server names it, so that a header can name a user
    /// (directories of type `upstream`).
    pub fn sends_own_headers_only(self) -> bool {
        self == Self::Nginx
    }

    /// Whether the client gets the status and the text as authd says them; otherwise it is 200, 401 or 403.
    pub fn passes_answers(self) -> bool {
        matches!(self, Self::Forward | Self::Envoy)
    }
}

/// Every header one of them is believed in.
pub const HEADERS: [&str; 11] = [
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-for",
    "method",
    "path",
    "x-real-ip",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_header_that_a_dialect_reads_can_be_given_another_meaning() {
        for dialect in Dialect::ALL {
            let mut read: Vec<_> =
                dialect.client().into_iter().chain(dialect.request_id()).chain(dialect.host()).collect();
            if let Original::Headers(method, target) | Original::Url(method, target) = dialect.original() {
                read.extend([method, target]);
            }
            assert!(read.iter().all(|name| HEADERS.contains(name)), "{dialect:?}: {read:?}");
        }
    }
}
