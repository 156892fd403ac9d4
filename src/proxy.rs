//! Chooses the proxy of a connection by the rules of Go's `net/http`, which kubectl follows
//! (`golang.org/x/net/http/httpproxy`). Pure.
//!
//! A loopback address never has a proxy. `NO_PROXY` is compared with the target. `proxy-url` of the kubeconfig has
//! priority over the variables and no exceptions. A variable or an entry of `NO_PROXY` that cannot be parsed has no
//! effect.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::InvalidHeaderValue;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::object::Mask;

/// The variables of the process that choose a proxy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    /// `HTTPS_PROXY` or `https_proxy`.
    pub https: Option<String>,
    /// `HTTP_PROXY` or `http_proxy`.
    pub http: Option<String>,
    /// `NO_PROXY` or `no_proxy`.
    pub no: Option<String>,
    /// Whether the process is a CGI script (`REQUEST_METHOD` is set): a request header could set `HTTP_PROXY` then.
    pub is_cgi: bool,
}

/// The values may contain passwords.
impl fmt::Debug for ProxyVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProxyVariables").field("no", &self.no).finish_non_exhaustive()
    }
}

/// The protocol that a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP with CONNECT.
    Http,
    /// HTTP with CONNECT, over TLS.
    Https,
    /// SOCKS version 5; the proxy resolves names.
    Socks5,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) protocol: Protocol,
    /// Its address without credentials: `http://proxy.example:3128/`.
    pub(crate) uri: Uri,
    /// User and password.
    pub(crate) credentials: Option<(String, String)>,
}

impl Proxy {
    /// Returns the value of `Proxy-Authorization`; None without credentials.
    ///
    /// # Errors
    /// No header can have the credentials.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, InvalidHeaderValue> {
        let basic = |(user, password): &(String, String)| {
            HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        };
        self.credentials.as_ref().map(basic).transpose()
    }

    /// Returns the password, or the user that is a token.
    pub(crate) fn secrets(&self) -> Mask {
        let mut mask = Mask::default();
        let secret = |(user, password): &(String, String)| {
            if password.is_empty() { user.clone() } else { password.clone() }
        };
        self.credentials.as_ref().map(secret).iter().for_each(|secret| mask.add(secret));
        mask
    }
}

/// The credentials are secret.
impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}", self.protocol, self.uri)
    }
}

/// Returns the proxy that the variables choose for this server.
pub(crate) fn from_variables(variables: &ProxyVariables, server: &Uri) -> Option<Proxy> {
    let is_https = server.scheme_str() == Some("https");
    let text = match is_https {
        true => variables.https.as_deref(),
        false if variables.is_cgi => None,
        false => variables.http.as_deref(),
    }?;
    let (host, port) = (server.host()?, server.port_u16().unwrap_or(if is_https { 443 } else { 80 }));
    let no = variables.no.as_deref().unwrap_or_default();
    if is_direct(host, port, no) {
        return None;
    }
    // An unknown scheme is treated as `http`, as Go does.
    let (protocol, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (protocol(scheme).unwrap_or(Protocol::Http), rest),
        None => (Protocol::Http, text),
    };
    parse(protocol, rest)
}

/// Parses `proxy-url` of a kubeconfig.
///
/// # Errors
/// It is not a URL, or its scheme is not one of client-go's. The text does not quote the URL: it may have a password.
pub(crate) fn from_kubeconfig(url: &str) -> Result<Proxy, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme: use http, https or socks5")?;
    let protocol = protocol(scheme)
        .ok_or_else(|| format!("the scheme `{scheme}` is not supported: use http, https or socks5"))?;
    parse(protocol, rest).ok_or_else(|| "it is not a URL".to_owned())
}

fn protocol(scheme: &str) -> Option<Protocol> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(Protocol::Http),
        "https" => Some(Protocol::Https),
        // The proxy resolves the name for both: Go and kube-rs make no difference.
        "socks5" | "socks5h" => Some(Protocol::Socks5),
        _ => None,
    }
}

/// Parses a proxy's URL behind its scheme: `user:password@host:port/`.
fn parse(protocol: Protocol, rest: &str) -> Option<Proxy> {
    let authority = rest.split(['/', '?', '#']).next()?;
    let (userinfo, address) = match authority.rsplit_once('@') {
        Some((userinfo, address)) => (Some(userinfo), address),
        None => (None, authority),
    };
    let (scheme, default_port) = match protocol {
        Protocol::Http => ("http", 80),
        Protocol::Https => ("https", 443),
        Protocol::Socks5 => ("socks5", 1080),
    };
    let address: http::uri::Authority = address.parse().ok().filter(|_| !address.is_empty())?;
    let host = Some(address.host()).filter(|host| !host.is_empty())?;
    let port = address.port_u16().unwrap_or(default_port);
    let uri = format!("{scheme}://{host}:{port}/").parse().ok()?;
    Some(Proxy { protocol, uri, credentials: userinfo.map(credentials) })
}

fn credentials(userinfo: &str) -> (String, String) {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (decoded(user), decoded(password))
}

fn is_loopback_host(host: &str, address: Option<IpAddr>) -> bool {
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// Returns a URL's host without brackets, and the address that it is.
fn target(host: &str) -> (String, Option<IpAddr>) {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    (host, address)
}

/// Whether the connection to the target uses no proxy.
fn is_direct(host: &str, port: u16, no_proxy: &str) -> bool {
    let (host, address) = target(host);
    if is_loopback_host(&host, address) {
        return true;
    }
    let mut entries = no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase());
    entries.any(|entry| entry == "*" || matches_entry(&entry, &host, address, port))
}

/// Whether an entry of `NO_PROXY` names the target: `10.0.0.0/8`, `10.0.0.1`, `[fd00::1]:6443`, `example.com` with its
/// subdomains, `.example.com` and `*.example.com` without the domain itself. An address and a name may have a port.
fn matches_entry(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if let Some((network, bits)) = network(entry) {
        return address.is_some_and(|address| is_in(address, network, bits));
    }
    let (name, entry_port) = match split_port(entry) {
        Some((name, entry_port)) => (name.trim_start_matches('[').trim_end_matches(']'), entry_port),
        None => (entry, ""),
    };
    if !entry_port.is_empty() && entry_port != port.to_string() {
        return false;
    }
    if let Ok(listed) = name.parse::<IpAddr>() {
        return address == Some(listed.to_canonical());
    }
    if name.is_empty() || address.is_some() {
        return false;
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    if name.starts_with('.') {
        return host.ends_with(name);
    }
    host == name || host.strip_suffix(name).is_some_and(|subdomain| subdomain.ends_with('.'))
}

/// Splits `host:port` and `[address]:port`; None for an IPv6 address without brackets and for a host without a port.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    let (name, port) = entry.rsplit_once(':')?;
    let is_bracketed = name.starts_with('[') && name.ends_with(']');
    (is_bracketed || !name.contains([':', '[', ']'])).then_some((name, port))
}

fn network(entry: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = entry.split_once('/')?;
    let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(no: &str) -> ProxyVariables {
        ProxyVariables {
            https: Some("http://proxy.example:3128".to_owned()),
            http: Some("plain.example:8080".to_owned()),
            no: Some(no.to_owned()),
            is_cgi: false,
        }
    }

    fn proxy_for(variables: &ProxyVariables, server: &str) -> Option<String> {
        let proxy = from_variables(variables, &server.parse().unwrap())?;
        Some(format!("{proxy:?}"))
    }

    #[test]
    fn loopback_server_never_has_a_proxy() {
        for server in [
            "https://127.0.0.1:6443",
            "https://127.8.9.1",
            "https://localhost:6443",
            "https://LOCALHOST",
            "https://[::1]:6443",
            "https://[::ffff:127.0.0.1]:6443",
            "http://127.0.0.1:8080",
            "http://localhost",
        ] {
            assert_eq!(proxy_for(&variables(""), server), None, "{server}");
        }
        for server in ["https://localhost.example", "https://127.0.0.1.example", "https://[fd00::1]:6443"] {
            assert!(proxy_for(&variables(""), server).is_some(), "{server}");
        }
    }

    #[test]
    fn scheme_of_the_server_chooses_the_variable() {
        let both = variables("");
        assert_eq!(proxy_for(&both, "https://k8s.example").unwrap(), "Http http://proxy.example:3128/");
        assert_eq!(proxy_for(&both, "http://k8s.example").unwrap(), "Http http://plain.example:8080/");
        let script = ProxyVariables { is_cgi: true, ..both };
        assert_eq!(proxy_for(&script, "http://k8s.example"), None);
        assert!(proxy_for(&script, "https://k8s.example").is_some());
        assert_eq!(proxy_for(&ProxyVariables::default(), "https://k8s.example"), None);
    }

    /// The table of Go's `TestUseProxy` and of the entries that kube-rs rejects.
    #[test]
    fn no_proxy_is_compared_with_the_target() {
        let direct = [
            ("*", "https://k8s.example"),
            ("k8s.example", "https://k8s.example:6443"),
            ("example", "https://k8s.example"),
            ("K8S.Example", "https://k8s.example"),
            (".example", "https://k8s.example"),
            ("*.example", "https://k8s.example"),
            ("k8s.example:6443", "https://k8s.example:6443"),
            ("k8s.example:443", "https://k8s.example"),
            ("10.0.0.0/8", "https://10.9.8.7:6443"),
            ("0.0.0.0/0", "https://10.9.8.7:6443"),
            ("fd00::/8", "https://[fd00::1]:6443"),
            ("10.9.8.7", "https://10.9.8.7:6443"),
            ("10.9.8.7:6443", "https://10.9.8.7:6443"),
            ("fd00::1", "https://[fd00::1]:6443"),
            ("[fd00::1]:6443", "https://[fd00::1]:6443"),
            (",  , other, k8s.example ,", "https://k8s.example"),
        ];
        for (no, server) in direct {
            assert_eq!(proxy_for(&variables(no), server), None, "{no} {server}");
        }
        let through_the_proxy = [
            ("", "https://k8s.example"),
            // Its own address does not matter: only the target does.
            ("proxy.example", "https://k8s.other"),
            (".k8s.example", "https://k8s.example"),
            ("*.k8s.example", "https://k8s.example"),
            ("s.example", "https://k8s.example"),
            ("k8s.example:443", "https://k8s.example:6443"),
            ("10.0.0.0/8", "https://k8s.example"),
            ("10.0.0.0/33", "https://10.9.8.7"),
            ("fd00::/8", "https://10.9.8.7"),
            ("10.9.8.7:443", "https://10.9.8.7:6443"),
            ("k8s*.example", "https://k8s.example"),
            ("http://k8s.example", "https://k8s.example"),
            (":6443", "https://k8s.example:6443"),
            (" % , [ , ] , :: , /8 , a b ", "https://k8s.example"),
        ];
        for (no, server) in through_the_proxy {
            assert!(proxy_for(&variables(no), server).is_some(), "{no} {server}");
        }
    }

    #[test]
    fn proxy_is_written_in_every_form_that_go_reads() {
        let proxy = |text: &str| {
            let variables = ProxyVariables { https: Some(text.to_owned()), ..variables("") };
            from_variables(&variables, &"https://k8s.example".parse().unwrap())
        };
        let rows = [
            ("proxy.example:3128", "Http http://proxy.example:3128/"),
            ("proxy.example", "Http http://proxy.example:80/"),
            ("10.0.0.1:3128", "Http http://10.0.0.1:3128/"),
            ("http://proxy.example/", "Http http://proxy.example:80/"),
            ("HTTPS://proxy.example", "Https https://proxy.example:443/"),
            ("socks5://proxy.example", "Socks5 socks5://proxy.example:1080/"),
            ("socks5h://proxy.example:9", "Socks5 socks5://proxy.example:9/"),
            ("ftp://proxy.example:9", "Http http://proxy.example:9/"),
            ("http://[fd00::1]:3128", "Http http://[fd00::1]:3128/"),
        ];
        for (text, expected) in rows {
            assert_eq!(format!("{:?}", proxy(text).unwrap()), expected, "{text}");
        }
        let credentials = |text: &str| proxy(text).unwrap().credentials;
        let ana = |password: &str| Some(("ana".to_owned(), password.to_owned()));
        assert_eq!(credentials("http://ana:p%40s%3As@proxy.example"), ana("p@s:s"));
        assert_eq!(credentials("ana:p@ss@proxy.example:1"), ana("p@ss"));
        assert_eq!(credentials("http://ana@proxy.example"), ana(""));
        for malformed in ["", "http://", "http:// a", "://", "@"] {
            assert_eq!(proxy(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn proxy_url_of_the_kubeconfig_needs_a_known_scheme() {
        for url in ["http://p:1", "https://p:1", "socks5://p:1", "socks5h://p:1"] {
            assert!(from_kubeconfig(url).is_ok(), "{url}");
        }
        for url in ["p:1", "ftp://ana:planted@p:1", "http://ana:planted@", "http://"] {
            let error = from_kubeconfig(url).unwrap_err();
            assert!(!error.contains("planted"), "{error}");
        }
    }

    #[test]
    fn password_of_a_proxy_is_not_printed() {
        let variables = ProxyVariables { https: Some("http://ana:planted@p".to_owned()), ..variables("") };
        let proxy = from_variables(&variables, &"https://k8s.example".parse().unwrap()).unwrap();
        assert!(!format!("{variables:?} {proxy:?}").contains("planted"));
    }
}
