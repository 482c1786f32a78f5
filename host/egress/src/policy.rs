//! What a caller may ask for. One parser decides what a URL means, and what it decided is what is sent.
//!
//! A denial names the line of the manifest or the configuration that would permit the request.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderName, HeaderValue, Method};
use thiserror::Error;
use url::{Host, Url};
use wharf_domain::effect::EffectClass;
use wharf_domain::manifest::Route;

use crate::address::{AddressError, AddressRule};
use crate::authority::Authority;
use crate::{Grant, Origin, Own, Request};

/// Longer URLs and longer heads than this are refused.
const MAX_URL: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 32 << 10;

/// Headers the host writes itself, or that would let a guest speak for somebody else. With `proxy-*` and
/// `x-forwarded-*`; `_` counts as `-`, because many a gateway reads it so.
const HOST_HEADERS: [&str; 22] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded",
    "x-real-ip",
    // They would make another request of the one that was granted.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// A request that is permitted, in its one canonical form.
#[derive(Debug)]
pub(crate) struct Permitted<'a> {
    pub(crate) url: Url,
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) method: Method,
    pub(crate) route: &'a Route,
    pub(crate) class: EffectClass,
    pub(crate) allow_private: bool,
    pub(crate) authority: Option<&'a Authority>,
    /// The caller's own, checked.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Permitted<'_> {
    pub(crate) fn tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Host, and the port when it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        self.url.port().map_or_else(|| self.host.to_string(), |port| format!("{}:{port}", self.host))
    }

    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// For messages, tapes and step keys: no query, which may hold data.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }
}

/// Why a request is refused. Texts of a guest are cut and escaped.
#[derive(Debug, Error)]
pub(crate) enum Denial {
    #[error("`{url}` is not a URL this host sends: {why}")]
    InvalidUrl { url: String, why: String },
    #[error("`{url}` carries a user name; credentials belong to the host")]
    UserInfo { url: String },
    #[error(
        "`{origin}` is not granted, `{granted}` is; it would need `[[endpoints]] environment = \"…\" origin = \"{origin}\"`"
    )]
    Origin { rule: &'static str, origin: String, granted: String },
    #[error("`{host}` may not be dialled: {source}")]
    Address { host: String, granted: bool, source: AddressError },
    #[error("`{origin}` is this host itself, which no adapter may call")]
    SelfRequest { origin: String },
    #[error(
        "`{method} {path}` is no route of the manifest; it would need `[[routes]] method = \"{method}\" path = \"{path}\" reason = \"…\"`"
    )]
    Route { method: String, path: String },
    #[error("header `{name}` belongs to the host; leave it out")]
    HostHeader { name: String },
    #[error("header `{name}` is not a valid HTTP header")]
    InvalidHeader { name: String },
    #[error("the request's {what} is over the limit of {limit}")]
    TooLarge { what: &'static str, limit: usize },
    #[error(
        "connection `{connection}` names the origin `{origin}`, which is not `scheme://host` or `scheme://host:port` of one host, in ASCII (other scripts as `xn--…`)"
    )]
    BadGrant { connection: String, origin: String },
}

impl Denial {
    /// The last part of the fault's code.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "invalid-url",
            Self::UserInfo { .. } => "userinfo",
            Self::Origin { rule, .. } => rule,
            Self::Address { source, .. } => source.rule(),
            Self::SelfRequest { .. } => "self-request",
            Self::Route { .. } => "route-not-granted",
            Self::HostHeader { .. } => "header",
            Self::InvalidHeader { .. } => "invalid-header",
            Self::TooLarge { .. } => "request-too-large",
            Self::BadGrant { .. } => "bad-origin",
        }
    }
}

/// Checks a request against a grant, and gives it back in canonical form.
pub(crate) fn permit<'a>(grant: &'a Grant, own: &Own, request: &Request) -> Result<Permitted<'a>, Denial> {
    let (url, host, port) = canonical(&request.url)?;
    if own.is_advertised(&url) {
        return Err(Denial::SelfRequest { origin: shown(&url.origin().ascii_serialization()) });
    }
    let granted = origin(grant, &url, &host)?;
    let (method, route) = route(grant, &request.method, url.path())?;
    if request.body.as_ref().is_some_and(|body| body.len() > grant.limits.max_request_bytes) {
        return Err(Denial::TooLarge { what: "body", limit: grant.limits.max_request_bytes });
    }
    let headers = headers(grant, request)?;
    let key = route.key.as_ref().and_then(|key| key.header.as_ref());
    if let Some(name) = key.filter(|name| headers.iter().any(|(own, _)| own.as_str().eq_ignore_ascii_case(name))) {
        return Err(Denial::HostHeader { name: name.clone() });
    }
    let (allow_private, authority) = (granted.allow_private, granted.authority.as_ref());
    Ok(Permitted { url, host, port, method, route, class: route.class(), allow_private, authority, headers })
}

fn canonical(text: &str) -> Result<(Url, Host<String>, u16), Denial> {
    let invalid = |why: &str| Denial::InvalidUrl { url: shown(text), why: why.to_owned() };
    if text.len() > MAX_URL {
        return Err(Denial::TooLarge { what: "URL", limit: MAX_URL });
    }
    // The parser drops tabs and newlines and turns backslashes into slashes; other readers of the text do not.
    if text.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
        return Err(invalid("it holds a space, a control character or a backslash"));
    }
    let url = Url::parse(text).map_err(|err| invalid(&err.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Denial::Origin { rule: "scheme", origin: shown(text), granted: "https".to_owned() });
    }
    // The parser fills in missing slashes; other readers take what follows for a path.
    if !text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://")) {
        return Err(invalid("its scheme is not followed by `://`"));
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err(Denial::UserInfo { url: shown(&url.origin().ascii_serialization()) });
    }
    if url.fragment().is_some() {
        return Err(invalid("it has a fragment"));
    }
    let path = url.path().to_ascii_lowercase();
    if ["%2f", "%5c", "%00"].iter().any(|code| path.contains(code)) {
        return Err(invalid("its path hides a slash, a backslash or a zero byte"));
    }
    match (url.host().map(|host| host.to_owned()), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok((url, host, port)),
        _ => Err(invalid("it names no host")),
    }
}

/// The origin as it was granted.
fn origin<'a>(grant: &'a Grant, url: &Url, host: &Host<String>) -> Result<&'a Origin, Denial> {
    let mut nearest = "host-not-granted";
    let mut found = None;
    for granted in &grant.origins {
        let bad = || Denial::BadGrant { connection: grant.connection.clone(), origin: shown(&granted.url) };
        let known = Url::parse(&granted.url).map_err(|_| bad())?;
        // A name that only looks like another one, or stands for many, is no name an operator can have checked.
        let plain = granted.url.is_ascii() && !granted.url.contains('*');
        let bare = matches!(known.path(), "" | "/") && known.query().is_none() && known.username().is_empty();
        if !plain || !bare {
            return Err(bad());
        }
        if known.origin() == url.origin() {
            found = Some(granted);
        } else if known.host().map(|host| host.to_owned()).as_ref() == Some(host) {
            nearest = if known.scheme() == url.scheme() { "port" } else { "scheme" };
        }
    }
    // An address in the URL is judged before the name: the answer says what was really reached for.
    let rule = AddressRule { allow_private: found.is_some_and(|granted| granted.allow_private), only_private: false };
    if let Err(source) = literal(host).map_or(Ok(()), |ip| rule.check(ip)) {
        return Err(Denial::Address { host: host.to_string(), granted: found.is_some(), source });
    }
    found.ok_or_else(|| Denial::Origin {
        rule: nearest,
        origin: shown(&url.origin().ascii_serialization()),
        granted: grant.origins.iter().map(|origin| origin.url.as_str()).collect::<Vec<_>>().join("`, `"),
    })
}

/// Names of the machine's metadata service, which need no DNS of the outside: Google, EC2, Tencent.
const METADATA_NAMES: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
];
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The address a host is by its spelling alone.
fn literal(host: &Host<String>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(ip) => Some((*ip).into()),
        Host::Ipv6(ip) => Some((*ip).into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            if METADATA_NAMES.contains(&name) {
                return Some(METADATA.into());
            }
            (name == "localhost" || name.ends_with(".localhost")).then_some(Ipv4Addr::LOCALHOST.into())
        }
    }
}

/// The route with the fewest wildcards that fits: a special route is never hidden by a general one.
fn route<'a>(grant: &'a Grant, method: &str, path: &str) -> Result<(Method, &'a Route), Denial> {
    let denial = || Denial::Route { method: shown(method), path: shown(path) };
    let fitting = grant.routes.iter().filter(|route| route.fits(method, path));
    let route = fitting.min_by_key(|route| route.path.split('/').filter(|part| *part == "*").count());
    match (Method::from_bytes(method.as_bytes()), route) {
        (Ok(parsed), Some(route)) if parsed != Method::CONNECT && parsed != Method::TRACE => Ok((parsed, route)),
        _ => Err(denial()),
    }
}

fn headers(grant: &Grant, request: &Request) -> Result<Vec<(HeaderName, HeaderValue)>, Denial> {
    let size: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if request.headers.len() > MAX_HEADERS {
        return Err(Denial::TooLarge { what: "number of headers", limit: MAX_HEADERS });
    }
    if size > MAX_HEADER_BYTES {
        return Err(Denial::TooLarge { what: "header size", limit: MAX_HEADER_BYTES });
    }
    let mut checked = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let invalid = || Denial::InvalidHeader { name: shown(name) };
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        if belongs_to_host(grant, parsed.as_str()) {
            return Err(Denial::HostHeader { name: parsed.as_str().to_owned() });
        }
        checked.push((parsed, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?));
    }
    Ok(checked)
}

/// `name` in lower case.
fn belongs_to_host(grant: &Grant, name: &str) -> bool {
    let dashed = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let name = dashed(name);
    HOST_HEADERS.contains(&name.as_str())
        || name.starts_with("proxy-")
        || name.starts_with("x-forwarded-")
        || grant.secrets.values().any(|secret| secret.slot.headers().iter().any(|own| dashed(own) == name))
}

/// What stands between `//` and the path, query or fragment.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or("")
}

/// A guest's text for a message: at most 200 characters, nothing that moves a cursor.
fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
