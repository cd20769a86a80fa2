use ureq::{Proxy, ProxyProtocol};

use super::error::HttpError;

/// The proxies that the environment names: `https_proxy`, `http_proxy`, else `all_proxy`, and the
/// hosts in `no_proxy` that none is for; the same in capitals where there is no such variable.
///
/// A URL's proxy is that of its scheme, also for what it redirects to.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
}

#[derive(Clone)]
struct Named {
    /// The variable that names it. Its value may hold a password and is never shown.
    variable: String,
    /// None if the value is not the address of a proxy.
    proxy: Option<Proxy>,
}

impl Proxies {
    pub(crate) fn from_env() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads variables by name.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let names = [name.to_owned(), name.to_uppercase()];
            let mut values = names.into_iter().map(|name| (get(&name), name));
            values.find_map(|(value, name)| Some((name, value.filter(|v| !v.is_empty())?)))
        };
        let direct = either("no_proxy").map_or(String::new(), |(_, hosts)| hosts);
        let of = |scheme: &str| {
            let (variable, address) = either(scheme).or_else(|| either("all_proxy"))?;
            let proxy = proxy(&address, &direct);
            Some(Named { variable, proxy })
        };
        Self {
            http: of("http_proxy"),
            https: of("https_proxy"),
        }
    }

    /// The proxy for a URL, if there is one.
    pub(crate) fn of(&self, url: &str) -> Result<Option<Proxy>, HttpError> {
        let is_secure = url.starts_with("https:");
        match if is_secure { &self.https } else { &self.http } {
            None => Ok(None),
            Some(named) => match &named.proxy {
                Some(proxy) => Ok(Some(proxy.clone())),
                None => Err(HttpError::Proxy {
                    variable: named.variable.clone(),
                }),
            },
        }
    }
}

/// A proxy with the hosts that it is not for: a name stands for all names that end with it, too.
fn proxy(address: &str, direct: &str) -> Option<Proxy> {
    let parsed = Proxy::new(address).ok()?;
    let protocol = parsed.protocol();
    if !matches!(protocol, ProxyProtocol::Http | ProxyProtocol::Https) {
        return None;
    }
    let mut builder = Proxy::builder(protocol)
        .host(parsed.host())
        .port(parsed.port());
    if let Some(name) = parsed.username() {
        builder = builder.username(name);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in direct.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        let host = host.trim_start_matches("*.").trim_start_matches('.');
        builder = builder.no_proxy(host).no_proxy(&format!(".{host}"));
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = Proxies::read(get).of(url).unwrap()?;
        let target = url.parse().unwrap();
        (!proxy.is_no_proxy(&target)).then(|| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_small_letters_come_first() {
        let both = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "b:2")];
        assert_eq!(chosen(&both, "http://x.org/").unwrap(), "a:1");
        assert_eq!(chosen(&both, "https://x.org/").unwrap(), "b:2");
        let one = [("HTTPS_PROXY", "http://user:pass@b:2")];
        assert_eq!(chosen(&one, "http://x.org/"), None);
        assert_eq!(chosen(&one, "https://x.org/").unwrap(), "b:2");
        let twice = [
            ("http_proxy", "a:1"),
            ("HTTP_PROXY", "b:2"),
            ("ALL_PROXY", "c:3"),
        ];
        assert_eq!(chosen(&twice, "http://x.org/").unwrap(), "a:1");
        assert_eq!(chosen(&twice, "https://x.org/").unwrap(), "c:3");
        assert_eq!(chosen(&[("http_proxy", "")], "http://x.org/"), None);
    }

    #[test]
    fn hosts_and_what_lies_below_them_are_reached_directly() {
        for name in ["no_proxy", "NO_PROXY"] {
            let variables = [
                ("all_proxy", "a:1"),
                (name, "x.org, .y.org,*.z.org,127.0.0.1"),
            ];
            for direct in [
                "x.org",
                "sub.x.org",
                "y.org",
                "a.y.org",
                "b.z.org",
                "127.0.0.1:8",
            ] {
                assert_eq!(
                    chosen(&variables, &format!("http://{direct}/")),
                    None,
                    "{direct}"
                );
            }
            for other in ["w.org", "notx.org"] {
                assert!(
                    chosen(&variables, &format!("http://{other}/")).is_some(),
                    "{other}"
                );
            }
        }
        let all = [("all_proxy", "a:1"), ("no_proxy", "*")];
        assert_eq!(chosen(&all, "http://x.org/"), None);
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_value() {
        for value in ["socks5://user:SECRET@a:1", "http://", "ftp://SECRET"] {
            let get = |name: &str| (name == "ALL_PROXY").then(|| value.to_owned());
            let error = Proxies::read(get).of("http://x.org/").unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("ALL_PROXY") && !error.contains("SECRET"),
                "{error}"
            );
        }
    }
}
